"""preflight: one command, a lock that dies with its holder, refusals before any change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roles import preflight
from roles.lib.stop import Refused
from tests.ggufs import gguf
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.run import Bench

Stages = Callable[..., Stage]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_good_node_costs_one_command(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("preflight")
    run = stage.run("preflight", sim)
    assert len(run.sent) == 1
    assert run.flat == []
    assert sim.files.real("/run/halofleet.lock").is_file()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_everything_against_a_node_is_said_at_once(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("preflight")
    sim.free = 100
    sim.arch = "aarch64"
    del sim.network.addresses["thunderbolt1"]
    sim.files.real("/run/systemd/system").rmdir()
    sim.files.real("/etc/os-release").write_text("ID=arch\nVERSION_ID=20261101\n")
    with pytest.raises(Refused) as refused:
        stage.run("preflight", sim)
    assert [line.split(": ")[1] for line in str(refused.value).splitlines()] == [
        "PID 1",
        "architecture",
        "free space in /var/lib",
        "interface thunderbolt1",
        "os",
    ]
    assert stage.run("preflight", sim, dry=True).ended, "a dry run tells it and goes on"


def test_who_takes_back_takes_the_lock_and_is_stopped_by_nothing_else(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    sim.arch = "aarch64"
    sim.free = 0
    plan = preflight.plan.plan(stage.lab(), "halo1")
    run = Bench(stage.lab(), "halo1", sim).run(preflight.lock, plan)
    assert (run.ended, len(run.sent), run.flat) == (True, 1, [])
    assert sim.files.real("/run/halofleet.lock").is_file()


def test_the_lock_keeps_others_out_as_long_as_its_session_lives(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roles.preflight.operations.PATIENCE_SECONDS", 1)
    monkeypatch.setattr("roles.preflight.operations.time.sleep", lambda _: None)
    stage = stages("fedora", "halo1")
    sim = stage.before("preflight")
    disconnect = sim.disconnect
    monkeypatch.setattr(sim, "disconnect", lambda: None)  # the first run is still there
    stage.run("preflight", sim)
    with pytest.raises(Refused, match=r"one run at a time: held by .* pid .* since"):
        stage.run("preflight", sim)
    # Its session ends, as when the control machine is switched off.
    for session in range(1, sim.sessions + 1):
        sim.shell.session = 8_000_000 + session
        disconnect()
    assert stage.run("preflight", sim).ended


def test_a_holder_that_has_been_silent_for_a_minute_is_gone(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The laptop was closed: no goodbye, and sshd waits for hours."""
    monkeypatch.setattr("roles.preflight.operations.PATIENCE_SECONDS", 1)
    monkeypatch.setattr("roles.preflight.operations.time.sleep", lambda _: None)
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    monkeypatch.setattr(sim, "disconnect", lambda: None)
    stage.run("preflight", sim)
    holder = int(sim.text("/run/halofleet.lock").split()[0])
    sim.sockets.sessions[holder] = 59_000
    with pytest.raises(Refused):
        stage.run("preflight", sim)
    sim.sockets.sessions[holder] = 61_000
    assert stage.run("preflight", sim).ended


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"", "is no key file"),
        (b"too-short\n", "is no key file"),
        (b"words and a-long-one-0123456789\n", "is no key file"),
        (b"from-a-windows-box\r\n", "is no key file"),
        (b"\xff\xfe0123456789abcdef", "is not text"),
    ],
)
def test_a_bad_key_file_is_refused(stages: Stages, content: bytes | None, problem: str) -> None:
    stage = stages("debian", "halo1")
    path = stage.home.folder / "chosen.key"
    path.unlink(missing_ok=True)
    if content is not None:
        path.touch(0o600)
        path.write_bytes(content)
    stage.change(serves__chat__api_key_file=str(path))
    sim = stage.before("preflight")
    with pytest.raises(Refused, match=rf"^halo1: serves\.chat\.api_key_file: {path}.* {problem}"):
        stage.run("preflight", sim)
    path.touch(0o600)
    path.write_text("chosen-by-a-person\n")
    run = stage.run("preflight", sim)
    assert (run.ended, len(run.sent)) == (True, 1)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o777])
def test_a_key_file_that_others_can_read_is_refused(stages: Stages, mode: int) -> None:
    stage = stages("debian", "halo1")
    path = stage.home.folder / "chosen.key"
    path.write_text("chosen-by-a-person\n")
    path.chmod(mode)
    stage.change(serves__chat__api_key_file=str(path))
    sim = stage.before("preflight")
    with pytest.raises(Refused, match=rf"^halo1: serves\.chat\.api_key_file: {path} on .* mode {mode:o}.*chmod 600"):
        stage.run("preflight", sim)
    path.chmod(0o400)
    assert stage.run("preflight", sim).ended


@pytest.mark.parametrize("where", ["control", "node"])
def test_more_context_than_the_model_has_is_refused(stages: Stages, where: str, tmp_path: Path) -> None:
    stage = stages("debian", "halo1")
    path = tmp_path / "own.gguf" if where == "control" else Path("/srv/own.gguf")
    stage.change(models__tiny={"file": str(path), "on": where}, serves__chat__context=8192)
    sim = stage.before("preflight")
    real = path if where == "control" else sim.files.real(str(path))
    real.parent.mkdir(exist_ok=True)
    gguf(real, context_length=4096)
    wanted = "8192 tokens for a slot; expected: at most 4096, on which tiny was trained"
    with pytest.raises(Refused, match=rf"^halo1: serves\.chat\.context: {wanted}"):
        stage.run("preflight", sim)
    assert stage.run("preflight", sim, dry=True).ended
    stage.change(serves__chat__slots=2)
    assert stage.run("preflight", sim).ended


def test_a_model_that_no_memory_holds_is_refused(stages: Stages, tmp_path: Path) -> None:
    """A file with a hole has its size and takes no room."""
    stage = stages("debian", "halo1")
    stage.change(models__tiny={"file": str(tmp_path / "large.gguf")}, serves__chat__workers=[])
    (tmp_path / "large.gguf").write_bytes(b"")
    with (tmp_path / "large.gguf").open("r+b") as file:
        file.truncate(2**43)
    sim = stage.before("preflight")
    (sim.root / "proc/meminfo").write_text(f"MemTotal:       {32 * 2**20} kB\n")
    wanted = r"tiny has 8192\.0 GiB, and 0\.0 for 2048 tokens of context; expected: at most 32\.0 GiB \(halo1 32\.0\)"
    with pytest.raises(Refused, match=rf"^halo1: serves\.chat\.model: {wanted}"):
        stage.run("preflight", sim)
    with (tmp_path / "large.gguf").open("r+b") as file:
        file.truncate(31 * 2**30)
    assert stage.run("preflight", sim).ended


@pytest.mark.parametrize("spec", [{"file": "/srv/own.gguf"}, {"directory": "/srv/own"}])
def test_a_model_that_should_be_on_the_node_and_is_not_is_refused(stages: Stages, spec: dict[str, str]) -> None:
    stage = stages("fedora", "halo1")
    stage.change(models__tiny=spec | {"on": "node"})
    sim = stage.before("preflight")
    (path,) = spec.values()
    with pytest.raises(Refused, match=rf"^halo1: models\.tiny: (no file )?{path} on this node"):
        stage.run("preflight", sim)
    part = sim.files.real(path if "file" in spec else f"{path}/own-00001-of-00001.gguf")
    part.parent.mkdir(parents=True)
    part.write_text("GGUF")
    assert stage.run("preflight", sim).ended


def test_what_the_doctor_calls_a_stop_stops_before_any_change(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    line = sim.files.real("/etc/kernel/cmdline")
    line.parent.mkdir(parents=True)
    line.write_text("quiet splash\n")
    before = sim.state()
    with pytest.raises(Refused, match=r"^halo1: kernel/cmdline without root: no root=, kernels to come get"):
        stage.run("preflight", sim)
    assert sim.state() == before


def test_what_the_doctor_warns_of_is_said_and_stops_nothing(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    guide = sim.files.real("/etc/environment")
    guide.write_text("HSA_OVERRIDE_GFX_VERSION=11.0.0\n")
    with caplog.at_level("INFO", logger="pyinfra"):
        assert stage.run("preflight", sim).ended
    assert "the doctor warns: HSA_OVERRIDE_GFX_VERSION; deploys/preflight.py says what to do" in caplog.text
