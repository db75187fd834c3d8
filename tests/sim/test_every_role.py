"""What holds for every role on every host: the second run is empty, a dry run is silent, interruptions heal."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.links import LINK_FILES
from tests.thorough import some

CASES = [
    ("preflight", "halo1"),
    ("tuning", "halo1"),
    ("quiet", "halo1"),
    ("base", "halo1"),
    ("names", "halo2"),
    ("addresses", "halo2"),
    ("network", "halo2"),
    ("links", "halo2"),
    ("firewall", "halo1"),
    ("firewall", "halo2"),
    ("llama_cpp", "halo1"),  # the builder: the release is not in the cache
    ("llama_cpp", "halo2"),
    ("models", "halo1"),
    ("models", "halo2"),
    ("connections", "halo1"),
    ("rpc_server", "halo1"),  # no worker
    ("rpc_server", "halo2"),
    ("llama_server", "halo1"),
    ("llama_server", "halo2"),  # no controller
    ("guard", "halo1"),
    ("guard", "halo2"),
]
every_case = pytest.mark.parametrize(("role", "node"), CASES)
every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
Stages = Callable[..., Stage]


def _ready(stage: Stage, role: str) -> None:
    """What the control machine has when the role begins."""
    stage.forget()
    if (role, stage.node) != ("llama_cpp", "halo1"):
        stage.artifact()


@every_flavour
@every_case
def test_dry_then_real_then_nothing_is_left(stages: Stages, flavour: str, role: str, node: str) -> None:
    """A dry run changes nothing and announces what the run does; the second run sends nothing."""
    stage = stages(flavour, node)
    sim = stage.before(role)
    _ready(stage, role)
    fresh = sim.fingerprint()
    dry = stage.run(role, sim, dry=True, diff=True)
    assert (dry.flat, dry.changes) == ([], 0)
    assert sim.fingerprint() == fresh

    first = stage.run(role, sim)
    assert first.ended
    assert set(dry.announced) == first.operations

    before = sim.fingerprint()
    second = stage.run(role, sim)
    assert second.ended
    assert second.flat == []
    if role != "preflight":  # it takes the lab's lock
        assert sim.fingerprint() == before
    again = stage.run(role, sim, dry=True)
    assert (again.flat, again.announced) == ([], ())


@pytest.mark.parametrize("flavour", ["debian", "fedora"])  # Ubuntu differs in nothing that could break half-way
@every_case
def test_an_interrupted_run_is_healed_by_the_next(stages: Stages, flavour: str, role: str, node: str) -> None:
    stage = stages(flavour, node)
    whole = stage.before(role)
    _ready(stage, role)
    changes = stage.run(role, whole).changes
    for count in some(range(1, changes + 1)):
        sim = stage.before(role)
        _ready(stage, role)
        stage.run(role, sim, dies_after=count)
        stage.run(role, sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run(role, sim).flat == []


@pytest.mark.parametrize("flavour", ["fedora"])
@every_case
def test_whoever_does_not_log_in_as_root_needs_sudo_for_everything(
    stages: Stages, flavour: str, role: str, node: str
) -> None:
    stage = stages(flavour, node, "box")
    sim = stage.before(role)
    _ready(stage, role)
    run = stage.run(role, sim)
    assert run.ended
    assert [sent.raw for sent in run.sent if sent.raw and not sent.raw.startswith("sudo -H -n sh -c ")] == []
    assert stage.run(role, sim).flat == []


@pytest.mark.parametrize(
    ("role", "node", "changed"),
    [
        ("names", "halo2", {"links__0__number": 1}),
        ("network", "halo2", {"links__0__number": 1}),
        ("network", "halo1", {"links__2": None}),
        ("firewall", "halo2", {"links__2": None}),
        ("rpc_server", "halo3", {"links__2": None}),
        ("firewall", "halo2", {"serves__chat__rpc_port": 50060}),
        ("llama_cpp", "halo2", {"llama_cpp__cmake": {"cpu": ["-DGGML_LTO=ON"]}}),
        ("rpc_server", "halo2", {"serves__chat__rpc_port": 50060}),
        ("llama_server", "halo1", {"serves__chat__port": 9090}),
        ("llama_server", "halo1", {"serves__chat__bind": "127.0.0.1"}),
        ("guard", "halo2", {"serves__chat__rpc_port": 50060}),
        ("guard", "halo2", {"serves__chat__workers": ["halo3"]}),
    ],
)
def test_an_interrupted_change_is_healed_by_the_next_run(
    stages: Stages, role: str, node: str, changed: dict[str, Any]
) -> None:
    """Restarts are decided by what runs, not by what a run has just changed."""
    stage = stages("fedora", node)

    def settled() -> SimHost:
        stage.changed.clear()
        sim = stage.before(role)
        _ready(stage, role)
        stage.run(role, sim)
        stage.change(**changed)
        stage.artifact()
        return sim

    whole = settled()
    changes = stage.run(role, whole).changes
    assert changes > 0
    assert whole.systemd.stale() == []
    for count in some(range(1, changes + 1)):
        sim = settled()
        stage.run(role, sim, dies_after=count)
        stage.run(role, sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run(role, sim).flat == []


@pytest.mark.parametrize("node", ["halo1", "halo2"])
def test_a_reboot_leaves_nothing_to_do(stages: Stages, node: str) -> None:
    stage = stages("fedora", node)
    sim = stage.before("verify")
    stage.artifact()
    for role in ("llama_server", "guard"):  # with what the control machine now knows: the API key
        stage.run(role, sim)
    for path in [path for place in LINK_FILES for path in sim.root.glob(place)]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    sim.reboot()
    roles = {role for role, _ in CASES}
    assert {role: stage.run(role, sim).flat for role in roles} == {role: [] for role in roles}
