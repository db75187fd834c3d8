"""preflight: what is plugged in at the ports that lab.yml tells by PCI path or MAC address, or leaves out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roles.lib.stop import Refused
from tests.sim.conftest import Stage
from tests.sim.host import SimHost
from tests.sim.network import Route
from tests.sim.test_network_names import BACK, FRONT, PORTS, REAL, both, with_cards
from tests.sim.test_way import vlan
from tests.sim.udev import MODULE, Card

Stages = Callable[..., Stage]


def node(stages: Stages, flavour: str, *cards: Card) -> tuple[Stage, SimHost]:
    """halo2 as nobody has touched it, with these cards."""
    stage = stages(flavour, "halo2")
    stage.change(**PORTS)
    return stage, with_cards(stage.before("preflight"), *cards)


def refusal(stage: Stage, sim: SimHost) -> list[str]:
    before = sim.state()
    with pytest.raises(Refused) as refused:
        stage.run("preflight", sim)
    assert sim.state() == before
    return str(refused.value).splitlines()


@pytest.mark.parametrize("flavour", REAL)
def test_cables_where_they_should_be_cost_one_command(stages: Stages, flavour: str) -> None:
    stage, sim = node(stages, flavour, *both())
    run = stage.run("preflight", sim)
    assert (run.ended, len(run.sent), run.flat) == (True, 1, [])


@pytest.mark.parametrize("flavour", REAL)
def test_a_cable_that_is_not_there_is_a_warning(stages: Stages, flavour: str, caplog: pytest.LogCaptureFixture) -> None:
    stage, sim = node(stages, flavour)
    with caplog.at_level("INFO", logger="pyinfra"):
        assert stage.run("preflight", sim).ended
    said = (
        f"halo2: port of usb4-1: nothing plugged in at pci-{FRONT}; expected: the cable to halo1; "
        "plug it in and see that halo1 is up; nothing else is needed, its configuration waits for it"
    )
    assert said in caplog.text
    assert f"halo2: port of usb4-3: nothing plugged in at pci-{BACK}" in caplog.text


def test_a_cable_in_another_port_is_said_and_not_taken_for_the_one_that_is_missing(
    stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    stage, sim = node(stages, "fedora", Card("0000:c9:00.5", "02:00:00:00:00:0a", peer="halo1"), both()[0])
    with caplog.at_level("INFO", logger="pyinfra"):
        assert stage.run("preflight", sim).ended
    assert f"port of usb4-1: nothing plugged in at pci-{FRONT}" in caplog.text
    assert "USB4 port pci-0000:c9:00.5: a cable to halo1 (thunderbolt0) is plugged in there" in caplog.text


def test_cables_that_changed_places_are_refused(stages: Stages) -> None:
    """Each port has a cable; the kernel says to whom it leads."""
    stage, sim = node(stages, "ubuntu", Card(BACK, "02:00:00:00:00:0b", peer="halo1"), both()[1])
    said = f"port of usb4-3: the cable at pci-{BACK} leads to halo1; expected: to halo3; plug it into halo3"
    assert refusal(stage, sim) == [f"halo2: {said}, or correct links in lab.yml"]


@pytest.mark.parametrize("peer", ["fedora", "", "halo3.home"])
def test_a_peer_that_calls_itself_otherwise_is_nobodys_proof(stages: Stages, peer: str) -> None:
    stage, sim = node(stages, "ubuntu", Card(BACK, "02:00:00:00:00:0b", peer=peer), both()[1])
    assert stage.run("preflight", sim).ended


def test_a_port_that_was_left_out_and_two_cables(stages: Stages) -> None:
    stage = stages("fedora", "halo3")
    stage.change(links__1={"usb4": {"halo2": "thunderbolt1", "halo3": None}}, links__2=None)
    sim = with_cards(stage.before("preflight"), *both())
    assert refusal(stage, sim) == [
        f"halo3: port of usb4-2: thunderbolt0 at pci-{BACK}, thunderbolt1 at pci-{FRONT}; expected: one interface; "
        "name its PCI path in links (udevadm info /sys/class/net/NAME shows it as ID_PATH)"
    ]


@pytest.mark.parametrize("port", ["pci-0000:62:00.0", "aa:bb:cc:dd:ee:01"])
def test_an_ethernet_port_has_to_be_there(stages: Stages, port: str) -> None:
    stage, sim = node(stages, "ubuntu", *both())
    ends = {"halo1": "enp97s0", "halo2": port}
    stage.change(links__2={"ethernet": ends, "subnet": "10.45.0.0/24", "name": "lan10g"})
    (said,) = refusal(stage, sim)
    assert said.startswith(f"halo2: port of lan10g: no interface has {port}; expected: an Ethernet interface; ")


def test_the_interface_of_ssh_and_one_of_a_bridge_are_refused(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, sim = node(stages, "fedora", *both())
    sim.network.addresses["thunderbolt1"], sim.network.addresses["host0"] = sim.network.addresses["host0"], []
    link = sim.network._link
    monkeypatch.setattr(
        sim.network,
        "_link",
        lambda number, name: (
            link(number, name).replace("state UP", "master br0 state UP")
            if name == "thunderbolt0"
            else link(number, name)
        ),
    )
    assert refusal(stage, sim) == [
        f"halo2: port of usb4-1: thunderbolt1 at pci-{FRONT}: SSH comes in over it; expected: a dedicated link; "
        "name the port that the cable is plugged into",
        f"halo2: port of usb4-3: thunderbolt0 at pci-{BACK} is part of br0; expected: a port of its own; "
        "take it out of it",
    ]


@pytest.mark.parametrize("port", ["pci-0000:62:00.0", "aa:bb:cc:dd:ee:01"])
def test_a_port_that_ssh_needs_by_a_vlan_or_a_route_is_refused(stages: Stages, port: str) -> None:
    """SSH's address is on neither, and to rename the port would take both down."""
    stage, sim = node(stages, "ubuntu", *both())
    sim.udev.plug(Card("0000:62:00.0", "aa:bb:cc:dd:ee:01", driver="r8169"))
    ends = {"halo1": "enp97s0", "halo2": port}
    stage.change(links__2={"ethernet": ends, "subnet": "10.45.0.0/24", "name": "lan10g"})
    assert stage.run("preflight", sim).ended
    vlan(sim, "enp98s0")
    sim.network.routes = {Route("default", "192.168.9.1", "enp98s0", protocol="static")}
    assert refusal(stage, sim) == [
        "halo2: interface enp98s0: enp98s0.10 is on top of it; expected: a port of its own; "
        "name a port that is the link's alone",
        "halo2: interface enp98s0: the way to the control machine or the default route; expected: a dedicated link; "
        "name a port that is the link's alone",
    ]


@pytest.mark.parametrize("card", [True, False])
def test_a_name_that_is_somebody_elses_is_refused(stages: Stages, card: bool) -> None:
    stage, sim = node(stages, "ubuntu", *both())
    if card:
        sim.udev.plug(Card("0000:02:00.0", "aa:bb:cc:dd:ee:02", driver="igc"))
        sim.udev._rename(sim.udev.cards[-1], "usb4-1")
    else:
        sim.network.appear("usb4-1", "")
    owner = "usb4-1 at pci-0000:02:00.0" if card else "no port of the box"
    assert refusal(stage, sim) == [
        f"halo2: interface usb4-1: the name belongs to {owner}; expected: a name that is free; "
        "call it otherwise than usb4-1"
    ]


@pytest.mark.parametrize("flavour", REAL)
def test_a_kernel_without_the_module_is_refused(stages: Stages, flavour: str) -> None:
    stage, sim = node(stages, flavour)
    sim.udev.modules.clear()
    sim.files.real(f"/sys/module/{MODULE}").rmdir()
    (said,) = refusal(stage, sim)
    assert said.startswith(f"halo2: module {MODULE}: not there; expected: there, for the USB4 cables; reboot, if")


def test_without_udev_nobody_gives_names(stages: Stages) -> None:
    stage, sim = node(stages, "ubuntu", *both())
    sim.files.real("/run/udev/control").unlink()
    (said,) = refusal(stage, sim)
    assert said.startswith("halo2: names of usb4-1, usb4-3: udev does not run; expected: udev")
