"""A change that cuts SSH is put back by the node itself, whoever was killed when; one that does not is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from roles.firewall import operations as firewall
from roles.firewall.plan import files as firewall_files
from roles.lib import tentative
from roles.lib.paths import File
from roles.lib.remote import call
from roles.network import operations as network
from roles.network.managers import MANAGERS
from roles.network.managers import files as link_files
from tests.sim.conftest import Stage
from tests.sim.connector import SimConnector
from tests.sim.host import SimHost
from tests.sim.shell import Reply
from tests.thorough import some

Stages = Callable[..., Stage]

UNIT = "halofleet-put-back-{}"
KEPT = "/var/lib/halofleet/put-back/{}"
FOREIGN = "10.99.0.1/24"
HOSTS = [("debian", ""), ("ubuntu", "ufw"), ("fedora", "firewalld")]
CASES = [("network", flavour, "") for flavour in ("debian", "fedora")] + [("firewall", *host) for host in HOSTS]
every_case = pytest.mark.parametrize(("role", "flavour", "neighbour"), CASES)


class Clock:
    """Time that passes only where somebody waits: a timer that is due then runs."""

    def __init__(self, sim: SimHost) -> None:
        self.sim, self.now = sim, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for name, (after, _) in list(self.sim.systemd.timers.items()):
            if self.now >= after:
                self.sim.systemd.fire(name)


def host(stage: Stage, role: str, neighbour: str) -> SimHost:
    sim = stage.before(role)
    if neighbour:
        sim.give_firewall(neighbour)
    return sim


def settled(stage: Stage, role: str, neighbour: str) -> SimHost:
    """A node that has everything, and a lab that is otherwise since."""
    stage.changed.clear()
    sim = host(stage, role, neighbour)
    assert stage.run(role, sim).ended
    stage.change(**({"links__0__number": 1} if role == "network" else {"serves__chat__rpc_port": 50060}))
    return sim


def cutting(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on what the role writes cuts SSH."""
    if role == "firewall":

        def closed(plan: Any) -> tuple[File, ...]:
            return tuple(
                replace(file, content=file.content.replace("22 accept", "22 drop")) for file in firewall_files(plan)
            )

        monkeypatch.setattr(firewall, "files", closed)
        return

    def away(plan: Any, name: str, active: Any) -> tuple[File, ...]:
        foreign = replace(plan.interfaces[0], name="host0", address=FOREIGN, routes=())
        return link_files(replace(plan, interfaces=(*plan.interfaces, foreign)), name, active)

    monkeypatch.setattr(network, "files", away)


def seen(sim: SimHost) -> object:
    return sim.state(), sim.firewalld.runs, sim.ufw.rules.exists() and sim.ufw.rules.read_text()


def unlike(one: object, other: object, where: str = "") -> list[str]:
    """What differs, each with where it is."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [text for key in keys for text in unlike(one.get(key), other.get(key), f"{where} {key}")]
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [text for number, pair in pairs for text in unlike(*pair, f"{where} {number}")]
    return [] if one == other else [f"{where}: {one} is not {other}"]


@every_case
def test_a_change_costs_two_commands_and_leaves_no_timer(
    stages: Stages, role: str, flavour: str, neighbour: str
) -> None:
    stage = stages(flavour, "halo2")
    sim = host(stage, role, neighbour)
    run = stage.run(role, sim)
    own = [sent.command for sent in run.sent if not sent.fact]
    assert run.guards == [f"arm {role}", f"confirm {role}"]
    assert own[-1] == f"confirm {role}"
    assert set(own[: own.index(f"arm {role}")]) <= set(run.flat[:2]), "only what looks comes before"
    assert (sim.systemd.timers, sim.files.real(KEPT.format(role)).exists()) == ({}, False)
    assert stage.run(role, sim).guards == []


@pytest.mark.parametrize("fresh", [True, False])
@every_case
def test_what_cuts_ssh_is_put_back(
    stages: Stages,
    role: str,
    flavour: str,
    neighbour: str,
    fresh: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = stages(flavour, "halo2")
    sim = host(stage, role, neighbour) if fresh else settled(stage, role, neighbour)
    before = seen(sim)
    clock = Clock(sim)
    with monkeypatch.context() as patch:
        patch.setattr(tentative, "time", clock)
        cutting(role, patch)
        run = stage.run(role, sim, dies_after=999)
    assert not run.ended
    assert 40 < clock.now < 150
    assert sim.answers()
    assert unlike(seen(sim), before) == []
    said = caplog.text
    assert "halo2: the links" in said if role == "network" else "halo2: the firewall" in said
    assert "answered no new SSH connection" in said
    assert "put back what was there: /" in said
    assert f"journalctl -u {UNIT.format(role)}" in said
    (path,) = {
        ("network", "debian"): [f"{MANAGERS['networkd'].prefix}host0.network"],
        ("network", "fedora"): [f"{MANAGERS['NetworkManager'].prefix}host0.nmconnection"],
    }.get((role, flavour), ["/etc/halofleet/firewall.nft"])
    assert path in said
    assert stage.run(role, sim).ended, "and the right change is made after it"
    assert stage.run(role, sim).flat == []


@every_case
def test_killed_anywhere_the_old_state_comes_back(stages: Stages, role: str, flavour: str, neighbour: str) -> None:
    """Whether the control machine comes again or not, and how often."""
    stage = stages(flavour, "halo2")
    whole = settled(stage, role, neighbour)
    changes = stage.run(role, whole).changes
    for kills in some([(count, *again) for count in range(1, changes) for again in ((), (2,))], every=3):
        sim = settled(stage, role, neighbour)
        before = seen(sim)
        for count in kills:
            stage.run(role, sim, dies_after=count)
        if not sim.systemd.timers:  # it died before
            continue
        sim.systemd.fire(UNIT.format(role))
        assert unlike(seen(sim), before) == [], f"killed after changes {kills} of {changes}"
        assert (sim.systemd.timers, sim.files.real(f"{KEPT.format(role)}/armed").exists()) == ({}, False)
        assert stage.run(role, sim).ended
        assert unlike(seen(sim), seen(whole)) == []


def unconfirmed(stage: Stage, role: str, neighbour: str, monkeypatch: pytest.MonkeyPatch) -> SimHost:
    """A node whose run was killed between the change and its confirmation."""
    sim = settled(stage, role, neighbour)
    with monkeypatch.context() as patch:
        patch.setattr(tentative, "_confirm", lambda _: call(lambda _: False))
        assert not stage.run(role, sim, dies_after=999).ended
    assert list(sim.systemd.timers) == [UNIT.format(role)]
    return sim


@every_case
def test_what_was_killed_before_its_confirmation_is_confirmed_by_the_next(
    stages: Stages, role: str, flavour: str, neighbour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages(flavour, "halo2")
    sim = unconfirmed(stage, role, neighbour, monkeypatch)
    dry = stage.run(role, sim, dry=True)
    assert (dry.flat, dry.guards, len(dry.announced)) == ([], [], 1)
    run = stage.run(role, sim)
    assert (run.ended, run.flat, run.guards) == (True, [], [f"arm {role}", f"confirm {role}"])
    assert sim.systemd.timers == {}
    assert stage.run(role, sim).guards == []


@every_case
def test_what_is_put_back_while_the_next_run_looks_is_no_success(
    stages: Stages,
    role: str,
    flavour: str,
    neighbour: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = stages(flavour, "halo2")
    sim = unconfirmed(stage, role, neighbour, monkeypatch)
    run = SimConnector.run_shell_command

    def late(self: SimConnector, command: Any, *arguments: Any, **more: Any) -> Any:
        if f"arm-{role}" in str(command) and sim.systemd.timers:
            sim.systemd.fire(UNIT.format(role))
        return run(self, command, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(SimConnector, "run_shell_command", late)
        assert not stage.run(role, sim, dies_after=999).ended
    assert "while this run looked, the node has put back" in caplog.text
    assert sim.systemd.timers == {}
    assert stage.run(role, sim).flat != []


@every_case
def test_copies_of_before_a_boot_are_not_put_back(
    stages: Stages, role: str, flavour: str, neighbour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer went with the boot, and the user has lived with what was there for a year."""
    stage = stages(flavour, "halo2")
    sim = unconfirmed(stage, role, neighbour, monkeypatch)
    sim.systemd.timers.clear()
    before = seen(sim)
    stage.change(**({"links__1__number": 1} if role == "network" else {"serves__chat__rpc_port": 50061}))
    with monkeypatch.context() as patch:
        patch.setattr(tentative, "time", Clock(sim))
        cutting(role, patch)
        assert not stage.run(role, sim, dies_after=999).ended
    assert unlike(seen(sim), before) == []


def test_a_change_that_fails_half_way_is_named(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("firewall")
    load = sim.nftables.nft
    sim.programs["nft"] = lambda call: Reply(status=1) if call.words[0] == "-f" else load(call)
    assert not stage.run("firewall", sim, dies_after=99).ended
    assert "the firewall: changed by half. 60 s after the change began the node puts back" in caplog.text
    assert list(sim.systemd.timers) == [UNIT.format("firewall")]


def test_an_answer_that_was_lost_is_no_put_back(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first confirmation arrives, what the node says to it does not."""
    stage = stages("debian", "halo2")
    sim = stage.before("firewall")
    clock = Clock(sim)
    run = SimConnector.run_shell_command
    lost: list[str] = []

    def once(self: SimConnector, command: Any, *arguments: Any, **more: Any) -> Any:
        said = run(self, command, *arguments, **more)
        if str(command).endswith("confirm-firewall") and not lost:
            lost.append("it")
            raise OSError("timed out")
        return said

    monkeypatch.setattr(tentative, "time", clock)
    monkeypatch.setattr(SimConnector, "run_shell_command", once)
    assert stage.run("firewall", sim).ended
    assert lost
    assert clock.now < 5


def test_networkd_that_did_not_run_before_does_not_afterwards(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have files of its own for the interface that SSH comes in by, which ifupdown keeps."""
    stage = stages("debian", "halo2")
    sim = stage.before("network")
    sim.systemd.stop("systemd-networkd.service")
    sim.systemd.enabled.discard("systemd-networkd.service")
    before = seen(sim)
    with monkeypatch.context() as patch:
        patch.setattr(tentative, "time", Clock(sim))
        cutting("network", patch)
        assert not stage.run("network", sim, dies_after=999).ended
    assert unlike(seen(sim), before) == []
