"""preflight: one command, a lock that dies with its holder, refusals before any change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roles.lib.stop import Refused
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

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
