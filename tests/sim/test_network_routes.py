"""network: what a node in the middle, a fabric or a hand did to routes, loopback addresses, forwarding and MTUs.

The chain is halo1 - halo2 - halo3: the ring of these tests without the cable between halo3 and halo1.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.links import LINK_FILES, MARKER, file, reload, up, written
from tests.sim.network import LO
from tests.thorough import some

Stages = Callable[..., Stage]

LOOPBACKS = {"halo1": "10.44.255.254", "halo3": "10.44.255.252"}
TO_HALO3 = (LOOPBACKS["halo3"], "10.44.0.1")


def lo_up(node: str, flavour: str = "debian") -> list[str]:
    return up("lo", f"{LOOPBACKS[node]}/32", flavour=flavour)


def halo1_up(flavour: str = "debian") -> list[str]:
    return up("thunderbolt0", "10.44.0.0/31", TO_HALO3, flavour=flavour)


def chain_up(node: str, flavour: str = "debian") -> list[str]:
    if node == "halo1":
        return [*lo_up(node, flavour), *halo1_up(flavour)]
    to_halo1 = (LOOPBACKS["halo1"], "10.44.0.0" if node == "halo2" else "10.44.0.8")
    if node == "halo3":
        return [*lo_up(node, flavour), *up("thunderbolt0", "10.44.0.9/31", to_halo1, flavour=flavour)]
    to_halo3 = (LOOPBACKS["halo3"], "10.44.0.9")
    return [
        *up("thunderbolt0", "10.44.0.1/31", to_halo1, forwards=True, flavour=flavour),
        *up("thunderbolt1", "10.44.0.8/31", to_halo3, forwards=True, flavour=flavour),
    ]


ROUTES = {
    "halo1": {"10.44.255.252 via 10.44.0.1 dev thunderbolt0 proto static src 10.44.255.254 \n"},
    "halo2": {
        "10.44.255.254 via 10.44.0.0 dev thunderbolt0 proto static \n",
        "10.44.255.252 via 10.44.0.9 dev thunderbolt1 proto static \n",
    },
    "halo3": {"10.44.255.254 via 10.44.0.8 dev thunderbolt0 proto static src 10.44.255.252 \n"},
}
LINKS = {"halo1": ["thunderbolt0"], "halo2": ["thunderbolt0", "thunderbolt1"], "halo3": ["thunderbolt0"]}


def routes(sim: SimHost) -> set[str]:
    """Those of the links."""
    return {str(route) for route in sim.network.routes if route.device != "host0"}


def forwards(sim: SimHost) -> list[str]:
    return [name for name in sim.network.addresses if sim.network.forwarding(name)]


def chain(stages: Stages, flavour: str, node: str) -> tuple[Stage, SimHost]:
    """A node of the chain whose network is as it should be."""
    stage = stages(flavour, node)
    stage.change(links__2=None)
    return stage, stage.before("llama_cpp")


def by_hand(sim: SimHost, command: str) -> None:
    assert sim.shell.run(command, user="root").status == 0


@pytest.mark.parametrize("node", LINKS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_chain(stages: Stages, flavour: str, node: str) -> None:
    stage = stages(flavour, node)
    stage.change(links__2=None)
    sim = stage.before("network")
    names = (["lo"] if node in LOOPBACKS else []) + LINKS[node]
    commands = [*written(flavour, *names), *reload(*chain_up(node, flavour), flavour=flavour)]
    assert stage.run("network", sim).commands == [("links up", commands)]
    assert sim.network.addresses["lo"] == [LO, *([f"{LOOPBACKS[node]}/32"] if node in LOOPBACKS else [])]
    assert routes(sim) == ROUTES[node]
    assert forwards(sim) == (LINKS[node] if node == "halo2" else []), "the middle alone passes anything on"
    second = stage.run("network", sim)
    assert second.flat == []
    assert len(second.sent) == 2, "one look at the files, one at the network"


@pytest.mark.parametrize("node", LINKS)
def test_from_a_ring_to_a_chain_and_back(stages: Stages, node: str) -> None:
    stage = stages("debian", node)
    sim = stage.before("llama_cpp")
    ring = sim.state()
    stage.change(links__2=None)
    assert stage.run("network", sim).flat[-1] == f"touch {MARKER}"
    assert routes(sim) == ROUTES[node]
    assert stage.run("network", sim).flat == []
    stage.changed.clear()
    commands = stage.run("network", sim).flat
    assert (f"rm -f {file('debian', 'lo')}" in commands) is (node in LOOPBACKS)
    assert routes(sim) == set()
    assert sim.network.addresses["lo"] == [LO]
    assert forwards(sim) == []
    assert stage.run("network", sim).flat == []
    assert sim.state() == ring


def test_what_networkd_knows_nothing_of_is_taken_away(stages: Stages) -> None:
    """As after a restart of networkd: the chain became a ring, and the loopback address of its time is still there."""
    stage, sim = chain(stages, "debian", "halo1")
    old = set(sim.network.routes)
    for name in ("lo", "thunderbolt0"):
        sim.files.real(file("debian", name)).unlink()
    stage.changed.clear()
    stage.run("network", sim)
    sim.network.addresses["lo"].append("10.44.255.254/32")
    sim.network.addresses["lo"].append("192.168.7.1/32")
    sim.network.routes |= old
    run = stage.run("network", sim)
    delete = "ip address delete 10.44.255.254/32 dev lo 2>/dev/null"
    assert run.flat == reload(
        f"{delete} || ! ip -4 -o address show dev lo | grep -qF 10.44.255.254/32", *up("thunderbolt0", "10.44.0.0/31")
    )
    assert sim.network.addresses["lo"] == [LO, "192.168.7.1/32"]
    assert routes(sim) == set()
    assert stage.run("network", sim).flat == []


def test_a_route_of_ours_on_an_interface_that_has_no_link_any_more_is_taken_away(stages: Stages) -> None:
    stage, sim = chain(stages, "debian", "halo2")
    stage.change(links__1=None, serves__chat__workers=["halo2"])
    old = set(sim.network.routes)
    assert stage.run("network", sim).ended
    assert routes(sim) == set()
    sim.network.addresses["thunderbolt1"] = ["192.168.7.1/24"]
    sim.network.routes |= {route for route in old if route.device == "thunderbolt1"}
    delete = "ip route delete 10.44.255.252 via 10.44.0.9 dev thunderbolt1 2>/dev/null"
    check = "ip -4 route show 10.44.255.252 | grep -qF 'via 10.44.0.9 dev thunderbolt1'"
    assert stage.run("network", sim).flat == reload(f"{delete} || ! {check}")
    assert routes(sim) == set()
    assert stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_fabric_has_its_own_mtu(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_cpp")
    fabric = {"ethernet": {"halo1": "enp97s0", "halo3": "enp97s0"}, "subnet": "10.45.0.0/24", "mtu": 9000}
    stage.change(links__2=fabric)
    assert stage.run("network", sim).flat == [
        *written(flavour, "enp97s0"),
        f"rm -f {file(flavour, 'thunderbolt1')}",
        *reload(
            "ip address delete 10.44.0.4/31 dev thunderbolt1 2>/dev/null || "
            "! ip -4 -o address show dev thunderbolt1 | grep -qF 10.44.0.4/31",
            *up("enp97s0", "10.45.0.1/24", mtu=9000, flavour=flavour),
            flavour=flavour,
        ),
    ]
    assert sim.network.mtus["enp97s0"] == 9000
    assert sim.network.addresses["enp97s0"] == ["10.45.0.1/24"]
    assert sim.network.addresses["thunderbolt1"] == []
    assert stage.run("network", sim).flat == []
    fabric["mtu"] = 1500
    stage.change(links__2=fabric)
    assert stage.run("network", sim).flat == [
        *written(flavour, "enp97s0", others=False),
        *reload(*up("enp97s0", "10.45.0.1/24", flavour=flavour), flavour=flavour),
    ]
    assert sim.network.mtus["enp97s0"] == 1500


def test_an_mtu_that_somebody_changed_comes_back(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    sim.network.mtus["thunderbolt1"] = 1400
    assert stage.run("network", sim).flat == reload(*up("thunderbolt1", "10.44.0.8/31"))
    assert sim.network.mtus["thunderbolt1"] == 1500
    assert stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_route_that_somebody_removed_comes_back(stages: Stages, flavour: str) -> None:
    stage, sim = chain(stages, flavour, "halo1")
    by_hand(sim, "ip route delete 10.44.255.252 via 10.44.0.1 dev thunderbolt0")
    assert routes(sim) == set()
    assert stage.run("network", sim).flat == reload(*halo1_up(flavour), flavour=flavour)
    assert routes(sim) == ROUTES["halo1"]
    assert stage.run("network", sim).flat == []


def test_a_loopback_address_that_somebody_removed_comes_back_with_the_routes_that_need_it(stages: Stages) -> None:
    stage, sim = chain(stages, "ubuntu", "halo1")
    by_hand(sim, "ip address delete 10.44.255.254/32 dev lo")
    assert routes(sim) == set(), "the kernel takes the routes away whose source it was"
    assert stage.run("network", sim).flat == reload(*chain_up("halo1"))
    assert routes(sim) == ROUTES["halo1"]
    assert stage.run("network", sim).flat == []


def test_forwarding_that_somebody_switched_off_is_switched_on_again(stages: Stages) -> None:
    stage, sim = chain(stages, "fedora", "halo2")
    sim.network.set_forwarding("thunderbolt0", on=False)
    assert stage.run("network", sim).flat == reload(*chain_up("halo2", "fedora")[:2], flavour="fedora")
    assert sim.network.forwarding("thunderbolt0")
    assert stage.run("network", sim).flat == []


def test_forwarding_that_somebody_switched_on_everywhere_is_the_firewalls_business(stages: Stages) -> None:
    """As a container engine does, also where networkd (before 256) could not switch it off for one link."""
    stage, sim = chain(stages, "fedora", "halo1")
    sim.network.set_forwarding("thunderbolt0", on=True)
    assert stage.run("network", sim).flat == []


def test_foreign_routes_and_forwarding_elsewhere_are_nobodys_business(stages: Stages) -> None:
    """Outside of the lab's ranges, or to a network: a lab's own routes lead to single addresses."""
    stage, sim = chain(stages, "debian", "halo1")
    route = next(route for route in sim.network.routes if route.device == "thunderbolt0")
    foreign = {
        type(route)(destination, "10.44.0.1", "thunderbolt0")
        for destination in ("10.99.0.0/16", "10.45.0.7", "default", "10.44.250.0/24")
    }
    sim.network.routes |= foreign
    sim.network.set_forwarding("host0", on=True)
    sim.network.set_forwarding("all", on=True)
    assert stage.run("network", sim).flat == []
    assert foreign <= sim.network.routes


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_reboot_leaves_a_chain_as_it_was(stages: Stages, flavour: str) -> None:
    stage, sim = chain(stages, flavour, "halo1")
    for path in [path for place in LINK_FILES for path in sim.root.glob(place)]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    sim.reboot()
    assert routes(sim) == ROUTES["halo1"]
    assert stage.run("network", sim).flat == []


def test_an_interrupted_way_back_to_a_ring_is_healed_by_the_next_run(stages: Stages) -> None:
    """The way there is in test_every_role."""
    chained = chain(stages, "fedora", "halo1")[1]

    def settled() -> tuple[Stage, SimHost]:
        stage = stages("fedora", "halo1")
        return stage, chained.clone(stage.folders())

    stage, whole = settled()
    changes = stage.run("network", whole).changes
    for count in some(range(1, changes + 1)):
        stage, sim = settled()
        stage.run("network", sim, dies_after=count)
        stage.run("network", sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run("network", sim).flat == []


def test_an_mtu_that_the_interface_does_not_take_is_said(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    """networkd takes the most that there is, and says so in its journal only."""
    stage = stages("ubuntu", "halo1")
    sim = stage.before("llama_cpp")
    fabric = {"ethernet": {"halo1": "enp97s0", "halo3": "enp97s0"}, "subnet": "10.45.0.0/24", "mtu": 9000}
    stage.change(links__2=fabric)
    sim.network.most_mtu = 1500
    assert not stage.run("network", sim, dies_after=99).ended
    words = "interface enp97s0 has not got address 10.45.0.1/24 mtu 9000 after 10 s"
    assert words in caplog.text
    assert not stage.run("network", sim, dies_after=99).ended, "until it is put right"
    sim.network.most_mtu = 9000
    assert stage.run("network", sim).ended
    assert stage.run("network", sim).flat == []
