"""preflight: what would cut the way that SSH comes by is refused on the node that it is about, before any change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from roles.lib.stop import Refused
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.network import Route
from tests.sim.shell import Call, Reply

Stages = Callable[..., Stage]

FABRIC = {"ethernet": {"halo1": "enp97s0", "halo2": "enp97s0"}, "subnet": "10.45.0.0/24"}


def file(path: str, text: str) -> Callable[[SimHost], None]:
    def change(sim: SimHost) -> None:
        target = sim.files.real(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return change


def address(name: str, own: str) -> Callable[[SimHost], None]:
    def change(sim: SimHost) -> None:
        sim.network.addresses.setdefault(name, []).append(own)
        sim.network.mtus[name] = 1500
        sim.network.set_forwarding(name, on=False)

    return change


def routes(*found: Route) -> Callable[[SimHost], None]:
    def change(sim: SimHost) -> None:
        sim.network.routes = set(found)

    return change


def client(of: str, port: int = 22) -> Callable[[SimHost], None]:
    """From where SSH comes, and at which port of the node."""

    def change(sim: SimHost) -> None:
        connect = sim.connect

        def other() -> None:
            connect()
            entry = sim.root / f"proc/{sim.shell.session}/environ"
            entry.write_text(f"SSH_CLIENT={of} 51000 {port}\0LANG=C\0")

        sim.connect = other  # type: ignore[method-assign]

    return change


DEFAULT = Route("default", "10.43.0.1", "host0", protocol="static")
CUTS = {
    "control machine": (
        client("10.44.7.7"),
        "links_range 10.44.0.0/16: it has 10.44.7.7, the control machine",
    ),
    "control machine behind a fabric": (
        client("10.45.0.200"),
        "subnet of ethernet 10.45.0.0/24: it has 10.45.0.200, the control machine",
    ),
    "gateway": (
        routes(Route("default", "10.44.0.9", "host0", protocol="static")),
        "links_range 10.44.0.0/16: it has 10.44.0.9, the default gateway",
    ),
    "resolver": (
        file("/etc/resolv.conf", "search lan\nnameserver 10.44.9.53\n"),
        "links_range 10.44.0.0/16: it has 10.44.9.53, a DNS server",
    ),
    "resolver behind the stub": (
        file("/run/systemd/resolve/resolv.conf", "nameserver 10.45.0.53\n"),
        "subnet of ethernet 10.45.0.0/24: it has 10.45.0.53, a DNS server",
    ),
    "network of the way in": (
        address("host0", "10.44.3.2/20"),
        "links_range 10.44.0.0/16: it overlaps 10.44.0.0/20 of host0, which SSH needs",
    ),
    "address of another": (
        address("docker0", "10.45.0.1/29"),
        "address 10.45.0.1: on docker0 already, which is not halofleet's",
    ),
    "default route": (
        routes(DEFAULT, Route("default", "192.168.9.1", "thunderbolt0")),
        "interface thunderbolt0: the way to the control machine or the default route",
    ),
    "way back": (
        routes(DEFAULT, Route("172.20.0.0/16", "192.168.9.1", "thunderbolt0")),
        "interface thunderbolt0: the way to the control machine or the default route",
    ),
    "port": (client("10.43.0.1", 50052), "port 50052: sshd listens on it"),
}


@pytest.mark.parametrize("case", CUTS)
def test_what_would_cut_ssh_is_refused(stages: Stages, case: str) -> None:
    change, said = CUTS[case]
    stage = stages("debian", "halo1")
    stage.change(links__2=FABRIC)
    sim = stage.before("preflight")
    assert stage.run("preflight", sim).ended
    change(sim)
    if case == "way back":
        client("172.20.1.1")(sim)
        address("thunderbolt0", "192.168.9.2/24")(sim)
    before = sim.state()
    with pytest.raises(Refused) as refused:
        stage.run("preflight", sim)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"halo1: {said}; expected: "), line
    assert sim.state() == before


def test_the_loopback_address_is_nobody_elses(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    stage.change(links__2=None)
    sim = stage.before("preflight")
    address("wg0", "10.44.255.254/32")(sim)
    with pytest.raises(Refused, match=r"^halo1: address 10\.44\.255\.254: on wg0 already.*expected: on lo only"):
        stage.run("preflight", sim)


def test_a_node_that_is_about_to_put_back_is_no_strangers(stages: Stages) -> None:
    """A run was killed in the middle of a change: an address of ours may be anywhere, and the next run heals it."""
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    address("odd0", "10.44.0.0/31")(sim)
    with pytest.raises(Refused, match="on odd0 already"):
        stage.run("preflight", sim)
    file("/var/lib/halofleet/put-back/network/armed", "")(sim)
    assert stage.run("preflight", sim).ended


def vlan(sim: SimHost, port: str) -> None:
    """The host has one on top of this interface."""
    ip = sim.network.ip
    line = rf"9: {port}.10@{port}: <BROADCAST,UP,LOWER_UP> mtu 1500 state UP \    link/ether 02:00 brd ff"

    def more(call: Call) -> Reply:
        said = ip(call)
        return Reply(f"{said.stdout}{line}\n") if call.words == ("-o", "link") else said

    sim.programs["ip"] = more


def test_a_port_that_carries_a_vlan_is_refused(stages: Stages) -> None:
    """systemd takes the first file that matches: ours would take the VLAN from the port at the next boot."""
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    vlan(sim, "thunderbolt0")
    with pytest.raises(Refused, match=r"^halo1: interface thunderbolt0: thunderbolt0\.10 is on top of it"):
        stage.run("preflight", sim)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_link_that_moves_to_another_port_is_no_strangers(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    stage.change(links__0={"usb4": {"halo1": "thunderbolt0", "halo2": "enp97s0"}})
    assert stage.run("preflight", sim).ended


def test_a_link_without_a_carrier_is_named_and_set_up(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("preflight")
    sim.network.unplugged.add("thunderbolt1")
    with caplog.at_level("INFO", logger="pyinfra"):
        assert stage.run("preflight", sim).ended
    assert "interface thunderbolt1: no carrier" in caplog.text
    assert "thunderbolt0" not in caplog.text


def masked(unit: str, *, stop: bool = False) -> Callable[[SimHost], None]:
    def change(sim: SimHost) -> None:
        if stop:
            sim.systemd.stop(unit)
        (sim.root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (sim.root / "etc/systemd/system" / unit).symlink_to("/dev/null")

    return change


def nft(sim: SimHost) -> None:
    said = "Unable to initialize Netlink socket: Protocol not supported\n"  # nft 1.1.3 without the kernel's modules
    sim.programs["nft"] = lambda _: Reply(stderr=f"src/mnl.c:66: {said}", status=1)


def gone(sim: SimHost) -> None:
    (sim.shell.work / "bin/nft").unlink()


def failed(sim: SimHost) -> None:
    sim.systemd.start("nftables.service")
    sim.systemd.units["nftables.service"].active = "failed"


BROKEN: dict[str, tuple[Callable[[SimHost], Any], str]] = {
    "firewalld masked and running": (masked("firewalld.service"), "firewalld: active, masked"),
    "ufw masked and loaded": (masked("ufw.service"), "ufw: enabled, its unit masked"),
    "ours masked": (masked("halofleet-firewall.service", stop=True), "halofleet-firewall.service: masked"),
    "nftables failed": (failed, "nftables.service: failed"),
    "nft does not run": (nft, "nft: does not run: src/mnl.c:66: Unable to initialize Netlink socket: Protocol not"),
    "nft is gone": (gone, "nft: its package is installed, and there is no nft"),
}


@pytest.mark.parametrize("flavour", ["debian", "fedora"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_firewall_that_would_fail_is_named_before_any_change(stages: Stages, flavour: str, case: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("network")
    for name in ("firewalld", "ufw"):
        sim.give_firewall(name)
    assert stage.run("preflight", sim).ended
    change, said = BROKEN[case]
    change(sim)
    before = sim.state()
    with pytest.raises(Refused) as refused:
        stage.run("preflight", sim)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"halo2: firewall: {said}"), line
    assert sim.state() == before


def test_a_firewall_that_is_masked_and_does_not_run_is_none(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("preflight")
    sim.give_firewall("firewalld")
    for unit in ("firewalld.service", "nftables.service", "ufw.service"):
        masked(unit, stop=True)(sim)
    assert stage.run("preflight", sim).ended
