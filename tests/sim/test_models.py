"""models: a controller has the models of its serves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from roles.lib.stop import Failed
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

Stages = Callable[..., Stage]

PATH = "/var/lib/halofleet/models/tiny.gguf"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_controller_gets_the_file_checked_and_recorded(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("models")
    digest = hashlib.sha256(stage.home.model.read_bytes()).hexdigest()
    arriving = f"/var/lib/halofleet/incoming/{digest}"
    ((operation, commands),) = stage.run("models", sim).commands
    assert operation == "models present"
    assert commands[0] == f"stat -c %s {arriving} 2>/dev/null || echo 0"
    assert commands[1] == f"append {arriving} from 0"
    assert f"chown root:root {arriving} && chmod 644 {arriving} && mv -f {arriving} {PATH}" in commands[2]
    assert len(commands) == 3
    assert sim.files.real(PATH).read_bytes() == stage.home.model.read_bytes()
    assert sim.text(f"{PATH}.sha256").startswith(f"{digest} {stage.home.model.stat().st_size}-")
    if sim.flavour.selinux:
        assert PATH in sim.files.relabelled


def test_a_model_that_changed_on_the_node_is_sent_again(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("rpc_server")
    path = sim.files.real(PATH)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(stage.run("models", sim).flat) == 3
    assert path.read_bytes() == stage.home.model.read_bytes()
    assert stage.run("models", sim).flat == []


def test_a_model_that_changed_here_is_sent_again(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("rpc_server")
    other = stage.home.folder / "other.gguf"
    other.write_bytes(b"GGUF other")
    stage.change(models__tiny__file=str(other))
    assert len(stage.run("models", sim).flat) == 3
    assert sim.files.real(PATH).read_bytes() == b"GGUF other"


def test_a_model_that_is_on_the_node_is_left_alone(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    stage.change(models__tiny={"file": "/models/own.gguf", "on": "node"})
    sim = stage.before("models")
    with pytest.raises(Failed, match=r"no file /models/own.gguf on this node"):
        stage.run("models", sim)
    folder = sim.files.real("/models")
    folder.mkdir()
    (folder / "own.gguf").write_bytes(b"GGUF")
    os.utime(folder / "own.gguf", (1, 1))
    assert stage.run("models", sim).flat == []
