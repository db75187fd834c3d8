"""firewall, on hosts that have one of their own: what is needed is opened there, once, and taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roles.firewall.firewalld import RELOAD, SAVED
from roles.lib.stop import Refused
from tests.sim.conftest import Stage
from tests.sim.host import SimHost
from tests.sim.test_firewall import CHECK, LOAD, RULES, UNIT
from tests.thorough import some

Stages = Callable[..., Stage]

IN, PASS = (f"/etc/firewalld/policies/halofleet-{name}.xml" for name in ("in", "pass"))
TELL = RELOAD.format(files=f"{IN} {PASS}")
DOOR = (
    'rule family="ipv4" source address="10.44.0.0" destination address="10.44.0.1" port port="{}" protocol="tcp" accept'
)
MEASURE = DOOR.format(15201)
"""By which the link is measured."""
PREPEND = "prepend allow in on thunderbolt0 proto tcp from 10.44.0.0 to 10.44.0.1 port {} comment halofleet"
DELETE = "delete allow in on thunderbolt0 proto tcp from 10.44.0.0 to 10.44.0.1 port {}"
SSH = "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"


def wrote(path: str) -> str:
    return f"write {path} 644 root:root"


def before(stage: Stage, firewall: str) -> SimHost:
    sim = stage.before("firewall")
    sim.give_firewall(firewall)
    return sim


def test_a_worker_with_firewalld(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = before(stage, "firewalld")
    opened = ["mkdir -p /etc/firewalld/policies", wrote(IN), TELL]
    assert stage.run("firewall", sim).flat == [CHECK, SAVED, RULES, UNIT, *LOAD, *opened]
    assert sim.firewalld.runs == {"halofleet-in": [DOOR.format(50052), MEASURE]}
    second = stage.run("firewall", sim)
    assert (second.flat, len(second.sent)) == ([], 2)
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("firewall", sim).flat == [CHECK, SAVED, RULES, *LOAD, *opened]
    assert sim.firewalld.runs == {"halofleet-in": [DOOR.format(50060), MEASURE]}
    stage.change(serves__chat__workers=["halo3"])
    assert stage.run("firewall", sim).flat == [CHECK, SAVED, RULES, *LOAD, *opened]
    assert sim.firewalld.runs == {"halofleet-in": [MEASURE]}
    assert stage.run("firewall", sim).flat == []


def test_a_middle_with_firewalld_passes_on_and_stops_to(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    stage.change(links__2=None)
    sim = before(stage, "firewalld")
    stage.run("firewall", sim)
    ways = ("10.44.255.252", "10.44.255.254")
    assert sim.firewalld.runs["halofleet-pass"] == [
        f'rule family="ipv4" source address="{one}" destination address="{other}" accept'
        for one, other in (ways, ways[::-1])
    ]
    stage.changed.clear()
    assert stage.run("firewall", sim).flat == [CHECK, SAVED, RULES, *LOAD, f"rm -f {PASS}", TELL]
    assert list(sim.firewalld.runs) == ["halofleet-in"]


def test_what_somebody_took_from_firewalld_comes_back(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = before(stage, "firewalld")
    stage.run("firewall", sim)
    sim.firewalld.runs.clear()
    assert stage.run("firewall", sim).flat == [SAVED, TELL]
    sim.files.real(IN).unlink()
    assert wrote(IN) in stage.run("firewall", sim).flat
    assert sim.firewalld.runs == {"halofleet-in": [DOOR.format(50052), MEASURE]}
    sim.systemd.stop("firewalld.service")
    sim.systemd.enabled.discard("firewalld.service")
    assert stage.run("firewall", sim).flat == [f"rm -f {IN}"], "it is not to find it when it is started one day"


def test_what_is_open_for_now_only_stays_open(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = before(stage, "firewalld")
    sim.firewalld.now = "8022/tcp"
    run = stage.run("firewall", sim, dies_after=99)
    assert (run.ended, run.flat, run.guards) == (False, [CHECK, SAVED], []), "and nothing was changed"
    assert sim.firewalld.now == "8022/tcp"
    assert not sim.files.real(IN).exists()


def test_firewalld_is_not_told_to_read_what_it_would_not_start_with(stages: Stages) -> None:
    """Another file of its own is broken: ours goes, and everything is as it was."""
    stage = stages("fedora", "halo2")
    sim = before(stage, "firewalld")
    sim.firewalld.broken = "INVALID_ZONE: /etc/firewalld/zones/x.xml"
    assert not stage.run("firewall", sim, dies_after=99).ended
    assert not sim.files.real(IN).exists()
    assert sim.firewalld.runs == {}


def test_a_worker_with_ufw(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = before(stage, "ufw")
    assert stage.run("firewall", sim).flat == [
        *(CHECK, RULES, UNIT, *LOAD),
        *(f"ufw {PREPEND.format(port)}" for port in (50052, 15201)),
    ]
    line = "allow tcp {} 10.44.0.1 any 10.44.0.0 in_thunderbolt0 comment=68616c6f666c656574"
    assert sim.ufw.lines() == [line.format(15201), line.format(50052), SSH]
    assert stage.run("firewall", sim).flat == []
    stage.change(serves__chat__rpc_port=50060)
    ufw = [f"ufw {PREPEND.format(50060)}", f"ufw {DELETE.format(50052)}"]
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD, *ufw]
    assert sim.ufw.lines() == [line.format(50060), line.format(15201), SSH]
    assert stage.run("firewall", sim).flat == []
    stage.change(serves__chat__workers=["halo3"])
    stage.run("firewall", sim)
    assert sim.ufw.lines() == [line.format(15201), SSH]


def test_a_middle_with_ufw(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    stage.change(links__2=None)
    sim = before(stage, "ufw")
    stage.run("firewall", sim)
    routes = [line for line in sim.ufw.lines() if line.startswith("route:")]
    assert len(routes) == 2
    stage.changed.clear()
    stage.run("firewall", sim)
    assert len(sim.ufw.lines()) == 3, "its doors, and SSH"


def test_the_api_of_a_controller_with_ufw(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = before(stage, "ufw")
    api = "ufw prepend allow in proto tcp from 10.43.0.0/24 to 0.0.0.0/0 port 8080 comment halofleet"
    assert stage.run("firewall", sim).flat == [CHECK, RULES, UNIT, *LOAD, api]
    assert stage.run("firewall", sim).flat == []


@pytest.mark.parametrize(("flavour", "firewall"), [("fedora", "firewalld"), ("ubuntu", "ufw")])
def test_an_interrupted_run_is_healed_by_the_next(stages: Stages, flavour: str, firewall: str) -> None:
    stage = stages(flavour, "halo2")
    stage.change(links__2=None)
    whole = before(stage, firewall)
    changes = stage.run("firewall", whole).changes
    for count in some(range(1, changes + 1)):
        sim = before(stage, firewall)
        stage.run("firewall", sim, dies_after=count)
        stage.run("firewall", sim)
        if firewall == "ufw":  # in which order it has them is the same to ufw
            assert sorted(sim.ufw.lines()) == sorted(whole.ufw.lines())
        else:
            assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run("firewall", sim).flat == []


def test_a_firewall_that_is_meant_to_run_and_does_not_is_refused(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("preflight")
    for name in ("firewalld", "ufw"):
        sim.give_firewall(name)
    assert stage.run("preflight", sim).ended
    sim.systemd.stop("firewalld.service")
    sim.ufw.loaded = False
    with pytest.raises(Refused) as refused:
        stage.run("preflight", sim)
    assert [line.split(";")[0] for line in str(refused.value).splitlines()] == [
        "halo2: firewall: firewalld: inactive, enabled",
        "halo2: firewall: ufw: enabled, not loaded",
    ]
