"""network: addresses on the links, by systemd-networkd."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

Stages = Callable[..., Stage]

FILE = "/etc/systemd/network/30-halofleet-{}.network"
MARKER = "/run/halofleet-network.loaded"
FILES = ("link files", [f"write {FILE.format(name)} 644 root:root" for name in ("thunderbolt0", "thunderbolt1")])


def wait(device: str, address: str) -> str:
    return (
        f"for try in $(seq 50); do if ip -4 -o address show dev {device} | grep -qF {address}; then exit 0; fi; "
        f"sleep 0.2; done; echo interface {device} has no address {address} after 10 s: networkctl status {device} "
        ">&2; exit 1"
    )


def up(device: str, address: str) -> list[str]:
    return [f"networkctl reconfigure {device}", wait(device, address)]


def reload(*commands: str) -> list[str]:
    return ["networkctl reload", *commands, f"touch {MARKER}"]


UP = reload(*up("thunderbolt0", "10.44.0.1/31"), *up("thunderbolt1", "10.44.0.8/31"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_fresh_host(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("network")
    enable = ["systemctl enable --now --quiet systemd-networkd"] if flavour == "fedora" else []
    assert stage.run("network", sim).commands == [FILES, ("links up", enable + UP)]
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == ["10.44.0.8/31"]
    assert sim.network.addresses["host0"] == ["10.43.0.12/24"]


def test_a_new_address_touches_only_its_link(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("firewall")
    stage.change(links__0__number=1)
    assert stage.run("network", sim).flat == [
        FILES[1][0],
        *reload(*up("thunderbolt0", "10.44.0.3/31")),
    ]
    assert sim.network.addresses["thunderbolt1"] == ["10.44.0.8/31"]
    assert stage.run("network", sim).flat == []


def test_an_address_that_somebody_removed_comes_back(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("firewall")
    sim.network.addresses["thunderbolt1"] = ["192.168.7.1/24"]
    assert stage.run("network", sim).flat == reload(*up("thunderbolt1", "10.44.0.8/31"))


@pytest.mark.xfail(strict=True, reason="links_up looks only at links that the inventory has: the address stays")
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_link_that_left_the_inventory_leaves_no_file_and_no_address(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("firewall")
    stage.change(links__1=None)
    run = stage.run("network", sim)
    assert run.flat[0] == f"rm -f {FILE.format('thunderbolt1')}"
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == []
    assert stage.run("network", sim).flat == []


@pytest.mark.xfail(strict=True, reason="links_up compares addresses only: other lines of a file wait for a reboot")
def test_what_networkd_runs_with_is_what_the_file_says(stages: Stages) -> None:
    """A line of the file that is no address (another template) takes effect too."""
    stage = stages("ubuntu", "halo2")
    sim = stage.before("network")
    stage.run("network", sim)
    path = sim.files.real(FILE.format("thunderbolt0"))
    path.write_text(path.read_text() + "IPForward=yes\n")
    sim.network.reload()
    stage.run("network", sim)
    assert sim.network.known["thunderbolt0"] == path.read_text()
