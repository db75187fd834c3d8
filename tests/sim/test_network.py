"""network: addresses, routes and MTUs on the links, by systemd-networkd."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

Stages = Callable[..., Stage]

FILE = "/etc/systemd/network/30-halofleet-{}.network"
MARKER = "/run/halofleet-network.loaded"
RELOAD = "systemctl reload systemd-networkd"
FILES = ("link files", [f"write {FILE.format(name)} 644 root:root" for name in ("thunderbolt0", "thunderbolt1")])


def up(device: str, address: str, *routes: tuple[str, str], mtu: int = 1500, forwards: bool = False) -> list[str]:
    """routes: destination and gateway."""
    checks, what = [f"ip -4 -o address show dev {device} | grep -qF {address}"], [f"address {address}"]
    if device != "lo":
        checks.append(f"ip -o link show dev {device} | grep -qF ' mtu {mtu} '")
        checks += [f"grep -qx 1 /proc/sys/net/ipv4/conf/{device}/forwarding"] if forwards else []
        what.append(f"mtu {mtu} forwarding" if forwards else f"mtu {mtu}")
    checks += [f"ip -4 route show {to} | grep -qF 'via {gateway} dev {device}'" for to, gateway in routes]
    what += [f"route {to}" for to, _ in routes]
    return [
        f"for try in $(seq 50); do if {' && '.join(checks)}; then exit 0; fi; sleep 0.2; done; "
        f"echo interface {device} has not got {' '.join(what)} after 10 s: networkctl status {device} >&2; exit 1",
    ]


def reload(*commands: str) -> list[str]:
    """commands: what takes away strays, then up() of every interface that is configured."""
    strays = [command for command in commands if command.startswith("ip ")]
    waits = [command for command in commands if command not in strays]
    devices = [re.findall(r"echo interface (\S+) has", command)[0] for command in waits]
    touch = f"touch -c {' '.join(FILE.format(device) for device in devices)} && {RELOAD}"
    return [*([RELOAD, *strays] if strays else []), *([touch, *waits] if waits else []), f"touch {MARKER}"]


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
    sim = stage.before("llama_cpp")
    stage.change(links__0__number=1)
    assert stage.run("network", sim).flat == [
        FILES[1][0],
        *reload(*up("thunderbolt0", "10.44.0.3/31")),
    ]
    assert sim.network.addresses["thunderbolt1"] == ["10.44.0.8/31"]
    assert stage.run("network", sim).flat == []


def test_an_address_that_somebody_removed_comes_back(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    sim.network.addresses["thunderbolt1"] = ["192.168.7.1/24"]
    assert stage.run("network", sim).flat == reload(*up("thunderbolt1", "10.44.0.8/31"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_link_that_left_the_inventory_leaves_no_file_and_no_address(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    stage.change(links__1=None)
    run = stage.run("network", sim)
    assert run.flat[0] == f"rm -f {FILE.format('thunderbolt1')}"
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == []
    assert stage.run("network", sim).flat == []


def test_what_networkd_runs_with_is_what_the_file_says(stages: Stages) -> None:
    """A line of the file that is no address takes effect too."""
    stage = stages("ubuntu", "halo2")
    sim = stage.before("network")
    stage.run("network", sim)
    path = sim.files.real(FILE.format("thunderbolt0"))
    path.write_text(path.read_text().replace("Forwarding=no", "Forwarding=yes"))
    sim.networkd.reload()
    assert sim.network.forwarding("thunderbolt0")
    assert stage.run("network", sim).flat == [FILES[1][0], *reload(*up("thunderbolt0", "10.44.0.1/31"))]
    assert not sim.network.forwarding("thunderbolt0")
    assert sim.networkd.known["thunderbolt0"] == path.read_text()


def test_an_address_that_networkd_knows_nothing_of_is_taken_away(stages: Stages) -> None:
    """As after a restart of networkd: the link left the inventory, the address of its time is still there."""
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    sim.files.real(FILE.format("thunderbolt1")).unlink()
    sim.networkd.reload()
    sim.network.addresses["thunderbolt1"] = ["10.44.0.8/31", "192.168.7.1/24"]
    stage.change(links__1=None)
    assert stage.run("network", sim).ended
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == ["192.168.7.1/24"], "no address of ours stays, others do"
    assert stage.run("network", sim).flat == []


def test_a_file_that_was_written_since_networkd_read_it_is_read(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    sim.files.real(FILE.format("thunderbolt0")).touch()
    assert stage.run("network", sim).flat == reload(*up("thunderbolt0", "10.44.0.1/31"))
    assert stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_after_a_reboot_nothing_is_unread_but_what_was_written_since(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    paths = [sim.files.real(FILE.format(name)) for name in ("thunderbolt0", "thunderbolt1")]
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    sim.reboot()
    assert not sim.files.real(MARKER).exists()
    assert stage.run("network", sim).flat == []
    paths[1].touch()
    assert stage.run("network", sim).flat == reload(*up("thunderbolt1", "10.44.0.8/31"))
    assert stage.run("network", sim).flat == []
