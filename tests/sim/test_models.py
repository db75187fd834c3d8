"""models: a controller has the models of its serves, whole and as the inventory says."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roles import llama_server, models
from roles.lib.stop import Failed, Refused
from roles.models.parts import PATTERN
from tests.ggufs import gguf
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.run import Bench
from tests.sim.shell import Reply
from tests.thorough import some

Stages = Callable[..., Stage]

FOLDER = "/var/lib/halofleet/models"
PATH = f"{FOLDER}/tiny.gguf"
URL = "https://example.org/tiny.gguf"
CONTENT = b"GGUF from far away" * 100
SUM = hashlib.sha256(CONTENT).hexdigest()
PARTS = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]

# As the script of the job calls it; the web is one file.
CURL = """#!/bin/sh
case "$*" in
    *"--head --fail"*"%{{http_code}}"*) exit 2 ;;
    *"--head --fail"*{url}) wc -c <{web} ;;
    *" --fail "*"--continue-at - --output "*" --write-out %{{http_code}} "{url})
        while [ "$1" != --output ]; do shift; done
        had=0
        if [ -f "$2" ]; then had=$(wc -c <"$2"); fi
        tail -c +$((had + 1)) {web} >>"$2"
        printf 206 ;;
    *) exit 2 ;;
esac
"""


def connect(sim: SimHost, content: bytes = CONTENT) -> None:
    """The host has a curl that finds this at the URL, and room for it."""
    web = sim.shell.work / "web"
    web.write_bytes(content)
    program = sim.shell.work / "bin/curl"
    program.write_text(CURL.format(url=URL, web=web))
    program.chmod(0o755)
    sim.packages.installed.add("curl")
    df = sim.programs["df"]
    sim.programs["df"] = lambda call: Reply(f"Avail\n{sim.free}\n") if call.words[-1] == FOLDER else df(call)


def folder_here(stage: Stage, names: list[str]) -> Path:
    """A folder of the control machine with these parts and something else."""
    folder = stage.home.folder / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(f"GGUF {name}".encode() * 50)
    (folder / "README.md").write_text("big\n")
    return folder


def put_parts(sim: SimHost, names: list[str]) -> Path:
    folder = sim.files.real("/srv/big")
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).write_bytes(b"GGUF" + name.encode())
        os.utime(folder / name, (1, 1))
    return folder


def change(stage: Stage, kind: str) -> None:
    """The lab's model is one of this kind."""
    folder = folder_here(stage, PARTS)
    specs: dict[str, dict[str, Any]] = {
        "directory": {"directory": str(folder)},
        "directory on the node": {"directory": "/srv/big", "on": "node"},
        "url": {"url": URL, "sha256": SUM},
    }
    stage.change(models__tiny=specs[kind])


def before(stage: Stage) -> SimHost:
    """As the other roles left it with the shipped model: preflight would refuse one that is not there yet."""
    changed, stage.changed = stage.changed, {}
    sim = stage.before("models")
    stage.changed = changed
    connect(sim)
    put_parts(sim, PARTS)
    return sim


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_controller_gets_the_file_checked_and_recorded(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("models")
    digest = hashlib.sha256(stage.home.model.read_bytes()).hexdigest()
    arriving = f"/var/lib/halofleet/incoming/{digest}"
    ((operation, commands),) = stage.run("models", sim).commands
    assert operation == "models present"
    assert commands.pop(0) == "df --output=avail -B1 /var/lib/halofleet/incoming | tail -n 1"
    assert commands[0] == f"stat -c %s {arriving} 2>/dev/null || echo 0"
    assert commands[1] == f"append {arriving} from 0"
    assert (
        f"sync {arriving} && chown root:root {arriving} && chmod 644 {arriving} && mv -f {arriving} {PATH}"
        in commands[2]
    )
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
    assert len(stage.run("models", sim).flat) == 4
    assert path.read_bytes() == stage.home.model.read_bytes()
    assert stage.run("models", sim).flat == []


def test_a_model_that_changed_here_is_sent_again(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("rpc_server")
    other = stage.home.folder / "other.gguf"
    other.write_bytes(b"GGUF other")
    stage.change(models__tiny__file=str(other))
    assert len(stage.run("models", sim).flat) == 4
    assert sim.files.real(PATH).read_bytes() == b"GGUF other"


def test_a_model_that_is_on_the_node_is_left_alone(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("models")
    stage.change(models__tiny={"file": "/models/own.gguf", "on": "node"})
    with pytest.raises(Failed, match=r"no file /models/own.gguf on this node"):
        stage.run("models", sim)
    folder = sim.files.real("/models")
    folder.mkdir()
    (folder / "own.gguf").write_bytes(b"GGUF")
    os.utime(folder / "own.gguf", (1, 1))
    (folder / "own.gguf.sha256").write_text(f"{'0' * 64}  own.gguf\n")  # as sha256sum writes it
    assert stage.run("models", sim).flat == []


# --- every new kind


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", ["directory", "directory on the node", "url"])
def test_dry_then_real_then_nothing_is_left(stages: Stages, flavour: str, kind: str) -> None:
    stage = stages(flavour, "halo1", "box")
    change(stage, kind)
    sim = before(stage)
    fresh = sim.fingerprint()
    dry = stage.run("models", sim, dry=True, diff=True)
    assert (dry.flat, dry.changes) == ([], 0)
    assert sim.fingerprint() == fresh
    first = stage.run("models", sim)
    assert first.ended
    assert set(dry.announced) == first.operations
    done = sim.fingerprint()
    second = stage.run("models", sim)
    assert second.ended
    assert len(second.sent) == 1, "one look at all models"
    assert second.sent[0].fact
    assert sim.fingerprint() == done


@pytest.mark.parametrize("kind", ["directory", "url"])
def test_an_interrupted_run_is_healed_by_the_next(stages: Stages, kind: str) -> None:
    stage = stages("fedora", "halo1")
    change(stage, kind)
    whole = before(stage)
    changes = stage.run("models", whole).changes
    assert changes > 0
    for count in some(range(1, changes + 1)):
        sim = before(stage)
        stage.run("models", sim, dies_after=count)
        stage.run("models", sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run("models", sim).flat == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("directory", f"{FOLDER}/tiny/{PARTS[0]}"),
        ("directory on the node", f"/srv/big/{PARTS[0]}"),
        ("url", PATH),
    ],
)
def test_llama_server_gets_the_first_part_and_other_parts_are_another_revision(
    stages: Stages, kind: str, path: str
) -> None:
    stage = stages("debian", "halo1")
    change(stage, kind)
    sim = before(stage)
    stage.artifact()
    unit = "/etc/systemd/system/halofleet-server-chat.service"

    def both(plan: Any) -> None:
        models.models(plan=plan[0])
        llama_server.llama_server(plan=plan[1])

    def run() -> list[str]:
        lab = stage.lab()
        plan = models.plan.plan(lab, "halo1"), llama_server.plan.plan(lab, "halo1")
        return Bench(lab, "halo1", sim).run(both, plan).flat

    run()
    assert f"    --model {path} \\\n" in sim.text(unit)
    assert run() == []
    last = sim.files.real(path).with_name(PARTS[2])
    if last.exists():
        before_ = sim.text(unit)
        folder = Path(str(stage.lab().spec.models["tiny"].model_dump().get("directory")))
        for place in (folder / PARTS[2], last):
            if place.exists():
                place.write_bytes(b"GGUF another")
        run()
        assert sim.text(unit) != before_
        assert run() == []


# --- in parts, sent


def test_every_part_is_sent_and_the_folder_is_open_to_the_service(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    change(stage, "directory")
    sim = before(stage)
    commands = stage.run("models", sim).flat
    assert commands[0] == f"directory {FOLDER}/tiny 755 root:root"
    assert [command.split()[0] for command in commands[2:]] == ["stat", "append", "["] * 3
    there = sim.files.real(f"{FOLDER}/tiny")
    assert sorted(path.name for path in there.glob(PATTERN)) == PARTS
    assert not (there / "README.md").exists()
    assert f"{FOLDER}/tiny/{PARTS[2]}" in sim.files.relabelled


def test_one_part_that_changed_is_sent_again_alone(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    change(stage, "directory")
    sim = before(stage)
    stage.run("models", sim)
    part = sim.files.real(f"{FOLDER}/tiny/{PARTS[1]}")
    right = part.read_bytes()
    part.write_bytes(b"bit rot")
    assert len(stage.run("models", sim).flat) == 4
    assert part.read_bytes() == right


def test_the_parts_of_another_model_go_when_the_new_ones_are_there(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    change(stage, "directory")
    sim = before(stage)
    stage.run("models", sim)
    names = [f"other-0000{number}-of-00002.gguf" for number in (1, 2)]
    folder_here(stage, names)
    commands = stage.run("models", sim).flat
    gone = [f"rm -f {FOLDER}/tiny/{name} {FOLDER}/tiny/{name}.sha256" for name in PARTS]
    assert commands[-3:] == gone
    assert {path.name for path in sim.files.real(f"{FOLDER}/tiny").iterdir()} == {
        *names,
        *(f"{name}.sha256" for name in names),
    }
    assert stage.run("models", sim).flat == []


def test_a_part_that_is_missing_here_is_named_before_anything_is_sent(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    change(stage, "directory")
    sim = before(stage)
    folder = folder_here(stage, [PARTS[0], PARTS[2]])
    fresh = sim.fingerprint()
    with pytest.raises(Failed, match=rf"models.tiny: {folder} on this machine: missing or empty: {PARTS[1]}; put"):
        stage.run("models", sim)
    assert sim.fingerprint() == fresh


# --- in parts, on the node


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], "/srv/big on this node: no NAME-00001-of-0000N.gguf there"),
        (PARTS[:2], f"/srv/big on this node: missing or empty: {PARTS[2]}; put every part there"),
        ([*PARTS, "b-00001-of-00001.gguf"], "parts of 2 models: b-"),
    ],
)
def test_what_is_wrong_with_the_folder_on_the_node_is_said(stages: Stages, there: list[str], words: str) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("models")
    change(stage, "directory on the node")
    with pytest.raises(Failed, match=r"halo1: models\.tiny: /srv/big on this node: no "):
        stage.run("models", sim)
    put_parts(sim, there)
    with pytest.raises(Failed, match=words):
        stage.run("models", sim)


# --- fetched


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_node_fetches_it_itself(stages: Stages, flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stages(flavour, "halo1")
    change(stage, "url")
    sim = before(stage)
    sim.packages.installed.discard("curl")
    monkeypatch.setitem(sim.flavour.brings, "curl", (frozenset(), frozenset(), frozenset()))
    commands = stage.run("models", sim).flat
    assert [command.split(":")[0] for command in commands] == ["job packages", "job fetch-tiny"]
    assert commands[0].rstrip().endswith(" curl")
    assert sim.files.real(PATH).read_bytes() == CONTENT
    assert sim.text(f"{PATH}.sha256").startswith(f"{SUM} {len(CONTENT)}-")
    assert sim.files.owner(sim.files.real(PATH)) == "root:root"
    if sim.flavour.selinux:
        assert PATH in sim.files.relabelled


def test_another_sum_in_the_inventory_is_another_file(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    change(stage, "url")
    sim = before(stage)
    stage.run("models", sim)
    connect(sim, b"GGUF of tomorrow")
    assert stage.run("models", sim).flat == [], "the file is what the inventory says, whatever the web has now"
    stage.change(models__tiny__sha256=hashlib.sha256(b"GGUF of tomorrow").hexdigest())
    assert len(stage.run("models", sim).flat) == 1
    assert sim.files.real(PATH).read_bytes() == b"GGUF of tomorrow"
    assert stage.run("models", sim).flat == []


def test_a_wrong_sum_stops_the_run_and_leaves_what_was_there(stages: Stages, capfd: pytest.CaptureFixture[str]) -> None:
    stage = stages("debian", "halo1")
    change(stage, "url")
    sim = before(stage)
    connect(sim, b"an error page")
    run = stage.run("models", sim, dies_after=99)
    assert not run.ended
    came = hashlib.sha256(b"an error page").hexdigest()
    assert (
        f"models.tiny: {URL} has sha256 {came}, the inventory says {SUM}; the file is removed" in capfd.readouterr().err
    )
    assert list(sim.files.real(FOLDER).iterdir()) == []
    connect(sim)
    assert stage.run("models", sim).ended


def test_no_room_for_it_is_said(stages: Stages, capfd: pytest.CaptureFixture[str]) -> None:
    stage = stages("debian", "halo1")
    change(stage, "url")
    sim = before(stage)
    sim.free = 0
    assert not stage.run("models", sim, dies_after=99).ended
    assert f"1 MiB are still to come, {FOLDER} has 0 MiB free; make room" in capfd.readouterr().err


def test_a_fetched_model_that_cannot_have_so_much_context_stops_before_anything_is_served(
    stages: Stages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could tell before it was there; from then on preflight can."""
    content = gguf(tmp_path / "far.gguf", context_length=1024)
    stage = stages("fedora", "halo1")
    stage.change(models__tiny={"url": URL, "sha256": hashlib.sha256(content).hexdigest()})
    sim = stage.before("models")
    connect(sim, content)
    assert not stage.run("models", sim, dies_after=99).ended
    assert "serves.chat.context: 2048 tokens for a slot; expected: at most 1024" in caplog.text
    with pytest.raises(Refused, match=r"^halo1: serves\.chat\.context: 2048 tokens for a slot"):
        stage.run("preflight", sim)
    stage.change(serves__chat__context=1024)
    assert stage.run("models", sim).flat == []
