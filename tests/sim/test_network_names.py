"""network: interfaces at ports get their names, the other ends theirs, the kernel its module and its settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from roles.lib.stop import Failed
from roles.network.hosts import BEGIN, END
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.udev import MODULE, Card
from tests.thorough import some

Stages = Callable[..., Stage]

REAL = ["ubuntu", "fedora"]
FRONT, BACK = "0000:c8:00.5", "0000:c8:00.6"
MODULES = "/etc/modules-load.d/halofleet.conf"
TCP = "/etc/sysctl.d/90-halofleet-tcp.conf"
KEPT = "/var/lib/halofleet/network/sysctl.conf"
LINK = """\
# halofleet: the cable to halo1
[Match]
Path=pci-0000:c8:00.5
Driver=thunderbolt-net

[Link]
Name=usb4-1
# The address stays the driver's own.
MACAddressPolicy=none
"""
PORTS = {
    "links__0": {"usb4": {"halo1": "thunderbolt0", "halo2": f"pci-{FRONT}"}},
    "links__1": {"usb4": {"halo2": f"pci-{BACK}", "halo3": "thunderbolt0"}},
}
BLOCK = f"{BEGIN}\n10.44.0.0 halo1-usb4\n10.44.0.9 halo3-usb4\n{END}\n"
KEEP = f"mkdir -p /var/lib/halofleet/network && sysctl net.ipv4.tcp_retries2 >{KEPT}.part && mv -f {KEPT}.part {KEPT}"


def link_file(name: str) -> str:
    return f"/etc/systemd/network/05-halofleet-{name}.link"


def trigger(bdf: str) -> str:
    path = f"--property-match=ID_PATH=pci-{bdf}"
    return f"udevadm trigger --action=add --settle --subsystem-match=net {path}; "


def by_path(stages: Stages, flavour: str, *cards: Card) -> tuple[Stage, SimHost]:
    """halo2 with both its cables' ports told by their PCI paths, and these cards in it."""
    stage = stages(flavour, "halo2")
    stage.change(**PORTS)
    return stage, with_cards(stage.before("names"), *cards)


def with_cards(sim: SimHost, *cards: Card) -> SimHost:
    """The host without the interfaces that these tests' hosts have had plugged in for ever, and with these."""
    for name in ("thunderbolt0", "thunderbolt1"):
        sim.network.macs[name] = ""
        sim.network.vanish(name)
    sim.network.interfaces = ("lo", "host0")
    for card in cards:
        sim.udev.plug(card)
    return sim


def both() -> tuple[Card, Card]:
    """The back one comes first, so the kernel calls it thunderbolt0."""
    return Card(BACK, "02:00:00:00:00:0b", peer="halo3"), Card(FRONT, "02:00:00:00:00:0a", peer="halo1")


def named(sim: SimHost) -> dict[str, str]:
    return {card.bdf: card.name for card in sim.udev.cards}


@pytest.mark.parametrize("flavour", REAL)
def test_interfaces_that_are_there_get_the_names_of_their_ports(stages: Stages, flavour: str) -> None:
    stage, sim = by_path(stages, flavour, *both())
    assert named(sim) == {BACK: "thunderbolt0", FRONT: "thunderbolt1"}
    sent = stage.run("names", sim).flat
    assert sent[:6] == [
        KEEP,
        "mkdir -p /etc/systemd/network",
        f"write {link_file('usb4-1')} 644 root:root",
        f"write {link_file('usb4-3')} 644 root:root",
        f"write {MODULES} 644 root:root",
        f"write {TCP} 644 root:root",
    ]
    assert sent[6] == "udevadm control --reload"
    assert [line.split("; ")[0] + "; " for line in sent[7:9]] == [trigger(FRONT), trigger(BACK)]
    assert sent[9:] == [f"sysctl -q -p {TCP}", "write /etc/hosts 644 root:root"]
    assert sim.text(link_file("usb4-1")) == LINK
    assert named(sim) == {BACK: "usb4-3", FRONT: "usb4-1"}
    stage.run("network", sim)
    assert sim.network.addresses["usb4-1"] == ["10.44.0.1/31"]
    assert sim.network.addresses["usb4-3"] == ["10.44.0.8/31"]
    assert stage.run("names", sim).flat + stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", REAL)
def test_names_come_back_after_a_reboot_a_replug_and_with_another_mac(stages: Stages, flavour: str) -> None:
    stage, sim = by_path(stages, flavour, *both())
    stage.run("names", sim)
    stage.run("network", sim)
    before = {name: own for name, own in sim.network.addresses.items() if name.startswith("usb4")}
    sim.udev.cards.reverse()  # this time the other one comes first
    for card in sim.udev.cards:
        card.mac = f"{card.mac[:-1]}f"
    sim.reboot()
    assert named(sim) == {FRONT: "usb4-1", BACK: "usb4-3"}
    card = sim.udev.unplug(FRONT)
    assert "usb4-1" not in sim.network.addresses
    card.mac = "02:00:00:00:00:99"
    sim.udev.plug(card)
    assert named(sim)[FRONT] == "usb4-1"
    assert {name: sim.network.addresses[name] for name in before} == before


@pytest.mark.parametrize("flavour", REAL)
def test_one_that_is_up_and_that_udev_leaves_alone_is_taken_down_first(stages: Stages, flavour: str) -> None:
    stage, sim = by_path(stages, flavour, *both())
    sim.udev.names_what_is_up = False
    sim.network.down.clear()
    stage.run("names", sim)
    assert named(sim) == {BACK: "usb4-3", FRONT: "usb4-1"}
    assert "host0" not in sim.network.down


@pytest.mark.parametrize("flavour", REAL)
def test_what_comes_later_gets_its_name_and_address_then(stages: Stages, flavour: str) -> None:
    """Nobody is plugged in: everything is written ahead of it, and said."""
    stage, sim = by_path(stages, flavour)
    stage.run("names", sim)
    assert stage.run("network", sim).ended
    assert stage.run("names", sim).flat + stage.run("network", sim).flat == []
    for card in both():
        sim.udev.plug(card)
    assert named(sim) == {BACK: "usb4-3", FRONT: "usb4-1"}
    assert sim.network.addresses["usb4-1"] == ["10.44.0.1/31"]
    assert sim.network.addresses["usb4-3"] == ["10.44.0.8/31"]


def test_it_is_said_which_interface_is_not_there(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    stage, sim = by_path(stages, "ubuntu", both()[0])
    stage.run("names", sim)
    with caplog.at_level("INFO", logger="pyinfra"):
        stage.run("network", sim)
    assert "usb4-1 is not there yet (the cable to halo1); what it gets when it comes is written" in caplog.text
    assert "usb4-3 is not there" not in caplog.text
    assert sim.network.addresses["usb4-3"] == ["10.44.0.8/31"]


@pytest.mark.parametrize("flavour", REAL)
def test_ports_that_changed_places_in_the_inventory(stages: Stages, flavour: str) -> None:
    """Each of the two names is another interface's at first."""
    stage, sim = by_path(stages, flavour, *both())
    stage.run("names", sim)
    stage.run("network", sim)
    stage.change(
        links__0={"usb4": {"halo1": "thunderbolt0", "halo2": f"pci-{BACK}"}},
        links__1={"usb4": {"halo2": f"pci-{FRONT}", "halo3": "thunderbolt0"}},
    )
    stage.run("names", sim)
    assert named(sim) == {FRONT: "usb4-3", BACK: "usb4-1"}
    stage.run("network", sim)
    assert sim.network.addresses["usb4-1"] == ["10.44.0.1/31"]
    assert sim.network.addresses["usb4-3"] == ["10.44.0.8/31"]
    assert stage.run("names", sim).flat + stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", REAL)
def test_a_name_is_not_left_to_the_port_that_had_it(stages: Stages, flavour: str) -> None:
    """The inventory has another port now, and its cable is not in it yet: the old one must not pass for it."""
    stage, sim = by_path(stages, flavour, both()[1])
    stage.run("names", sim)
    assert named(sim) == {FRONT: "usb4-1"}
    stage.change(links__0={"usb4": {"halo1": "thunderbolt0", "halo2": "pci-0000:c9:00.5"}})
    assert "ip link set dev usb4-1 down && ip link set dev usb4-1 name thunderbolt%d" in stage.run("names", sim).flat
    assert named(sim) == {FRONT: "thunderbolt0"}
    assert stage.run("names", sim).flat == []


@pytest.mark.parametrize("flavour", REAL)
def test_the_only_cable_needs_no_port(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo3")
    stage.change(links__1={"usb4": ["halo2", "halo3"]}, links__2=None, links__0={"usb4": ["halo1", "halo2"]})
    with pytest.raises(Exception, match="halo2 has 2 cables, so say which port each is in"):
        stage.lab()
    stage.change(
        links__1={"usb4": {"halo2": "thunderbolt1", "halo3": None}},
        links__0={"usb4": {"halo1": None, "halo2": "thunderbolt0"}},
    )
    sim = stage.before("names")
    sim.udev.plug(Card(BACK, "02:00:00:00:00:0b"))
    stage.run("names", sim)
    assert re.findall(r"^\w+=.*", sim.text(link_file("usb4-2")), re.M)[0] == "Driver=thunderbolt-net"
    assert "Path=" not in sim.text(link_file("usb4-2"))
    assert named(sim) == {BACK: "usb4-2"}


@pytest.mark.parametrize("port", ["pci-0000:62:00.0", "aa:bb:cc:dd:ee:01"])
@pytest.mark.parametrize("flavour", REAL)
def test_an_ethernet_port_by_its_path_and_by_its_address(stages: Stages, flavour: str, port: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("names")
    sim.udev.plug(Card("0000:62:00.0", "aa:bb:cc:dd:ee:01", driver="r8169"))
    assert named(sim) == {"0000:62:00.0": "enp98s0"}
    ends = {"halo1": "enp97s0", "halo2": port}
    stage.change(links__2={"ethernet": ends, "subnet": "10.45.0.0/24", "name": "lan10g"})
    stage.run("names", sim)
    match = f"Path={port}" if port.startswith("pci") else f"PermanentMACAddress={port}"
    assert f"[Match]\n{match}\n\n[Link]\nName=lan10g\n" in sim.text(link_file("lan10g"))
    assert named(sim) == {"0000:62:00.0": "lan10g"}
    stage.run("network", sim)
    assert sim.network.addresses["lan10g"] == ["10.45.0.2/24"]


def test_an_address_that_somebody_gave_to_the_port_does_not_hide_it(stages: Stages) -> None:
    """The permanent one counts; what is made of the interface has only the other."""
    stage = stages("fedora", "halo2")
    sim = stage.before("names")
    sim.udev.plug(Card("0000:62:00.0", "aa:bb:cc:dd:ee:01", driver="r8169"))
    sim.network.macs["enp98s0"] = "02:00:00:00:00:77 brd ff:ff:ff:ff:ff:ff permaddr aa:bb:cc:dd:ee:01"
    ends = {"halo1": "enp97s0", "halo2": "aa:bb:cc:dd:ee:01"}
    stage.change(links__2={"ethernet": ends, "subnet": "10.45.0.0/24", "name": "lan10g"})
    stage.run("names", sim)
    assert named(sim) == {"0000:62:00.0": "lan10g"}


@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize("flavour", REAL)
def test_the_interface_that_ssh_comes_in_by_is_never_renamed(stages: Stages, flavour: str, translated: bool) -> None:
    stage, sim = by_path(stages, flavour, *both())
    own = ["192.168.7.2/24"] if translated else sim.network.addresses["host0"]
    sim.network.addresses |= {"thunderbolt1": own, "host0": []}
    sim.network.routes = {replace(route, device="thunderbolt1") for route in sim.network.routes}
    before = sim.state()
    with pytest.raises(Failed, match=rf"thunderbolt1 at pci-{FRONT} would get another name, and SSH comes in over it"):
        stage.run("names", sim)
    assert sim.state() == before


def test_a_name_that_somebody_else_gave_is_not_taken_away(stages: Stages) -> None:
    stage, sim = by_path(stages, "ubuntu", both()[0])
    sim.udev.plug(Card("0000:02:00.0", "aa:bb:cc:dd:ee:02", driver="igc"))
    sim.udev._rename(sim.udev.cards[-1], "usb4-1")
    before = sim.state()
    with pytest.raises(Failed, match=r"usb4-1 at pci-0000:02:00\.0 has the name of a link, and not from halofleet"):
        stage.run("names", sim)
    assert sim.state() == before


@pytest.mark.parametrize("flavour", REAL)
def test_the_module_is_loaded_now_and_at_every_boot(stages: Stages, flavour: str) -> None:
    """Only then do the two kernels speak, and the interface appears."""
    stage, sim = by_path(stages, flavour)
    sim.files.real(f"/sys/module/{MODULE}").rmdir()
    for card in both():
        sim.udev.plug(card)
    assert named(sim) == {FRONT: "", BACK: ""}
    sent = stage.run("names", sim).flat
    index = sent.index(f"modprobe {MODULE}")
    assert sent[index + 1].startswith("for try in $(seq 50); do if ip -o link show dev usb4-1 ")
    assert named(sim) == {FRONT: "usb4-1", BACK: "usb4-3"}
    assert sim.text(MODULES).splitlines()[1:] == [MODULE]
    sim.reboot()
    assert named(sim) == {FRONT: "usb4-1", BACK: "usb4-3"}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_lab_without_names_and_kernels_gets_hosts_and_settings_only(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("names")
    run = stage.run("names", sim)
    module = [f"write {MODULES} 644 root:root"] if flavour != "debian" else []
    written = [*module, f"write {TCP} 644 root:root"]
    assert run.flat == [KEEP, *written, f"sysctl -q -p {TCP}", "write /etc/hosts 644 root:root"]
    assert sim.sysctl.value("net.ipv4.tcp_retries2") == "8"
    assert len(stage.run("names", sim).sent) == 1


# --- taken back


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_all_of_it_goes_with_the_links(stages: Stages, flavour: str) -> None:
    stage, sim = by_path(stages, flavour, *both()) if flavour in REAL else _lab_host(stages)
    hosts = sim.files.real("/etc/hosts")
    before = hosts.read_bytes()
    stage.run("names", sim)
    assert sim.text("/etc/hosts").startswith(BLOCK)
    _without_links(stage)
    run = stage.run("names", sim)
    assert hosts.read_bytes() == before
    assert sim.sysctl.value("net.ipv4.tcp_retries2") == "15"
    left = [
        path for path in (link_file("usb4-1"), link_file("usb4-3"), MODULES, TCP, KEPT) if sim.files.real(path).exists()
    ]
    assert left == []
    assert f"sysctl -q -p {KEPT} && rm -f {KEPT}" in run.flat
    assert stage.run("names", sim).flat == []


def _lab_host(stages: Stages) -> tuple[Stage, SimHost]:
    stage = stages("debian", "halo2")
    return stage, stage.before("names")


def _without_links(stage: Stage) -> None:
    for key in ("links__0", "links__1", "links__2"):
        stage.changed.pop(key.replace("__", "."), None)
    stage.change(links=[], serves__chat__workers=[])


def test_a_setting_that_somebody_changed_since_is_not_overwritten(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    stage.run("names", sim)
    sim.sysctl.set("net.ipv4.tcp_retries2", "5")
    _without_links(stage)
    stage.run("names", sim)
    assert sim.sysctl.value("net.ipv4.tcp_retries2") == "5"
    assert not sim.files.real(KEPT).exists()


def test_a_setting_that_somebody_changed_is_ours_again_while_there_are_links(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    stage.run("names", sim)
    sim.sysctl.set("net.ipv4.tcp_retries2", "5")
    assert stage.run("names", sim).flat == [f"sysctl -q -p {TCP}"]
    sim.reboot()
    assert sim.sysctl.value("net.ipv4.tcp_retries2") == "8"
    assert stage.run("names", sim).flat == []


# --- /etc/hosts


@pytest.mark.parametrize(
    "text",
    [
        b"127.0.0.1 localhost\n::1 localhost",
        b"# caf\xe9, not UTF-8\n127.0.0.1\tlocalhost\r\n\n\n",
        b"",
        b"\n\n",
        b"10.44.0.0 halo1-usb4\n",
    ],
)
@pytest.mark.parametrize("flavour", REAL)
def test_nothing_of_the_hosts_file_is_touched_but_the_block(stages: Stages, flavour: str, text: bytes) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("names")
    path = sim.files.real("/etc/hosts")
    path.write_bytes(text)
    path.chmod(0o664)
    sim.files.owners[path.stat().st_ino] = "root:video"
    stage.run("names", sim)
    assert path.read_bytes() == BLOCK.encode() + text
    assert (path.stat().st_mode & 0o777, sim.files.owner(path)) == (0o664, "root:video")
    assert ("/etc/hosts" in sim.files.relabelled) is (flavour == "fedora")
    _without_links(stage)
    stage.run("names", sim)
    assert path.read_bytes() == text
    assert (path.stat().st_mode & 0o777, sim.files.owner(path)) == (0o664, "root:video")


def test_a_block_stays_where_somebody_has_put_it(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    path = sim.files.real("/etc/hosts")
    old = f"{BEGIN}\n10.44.0.77 halo9-usb4\n{END}\n"
    path.write_text(f"127.0.0.1 localhost\n{old}192.168.1.1 router\n")
    stage.run("names", sim)
    assert path.read_text() == f"127.0.0.1 localhost\n{BLOCK}192.168.1.1 router\n"


@pytest.mark.parametrize("text", [f"{BEGIN}\n10.44.0.0 halo1-usb4\n", f"127.0.0.1 localhost\n{END}\n"])
def test_half_a_block_is_somebodys_to_mend(stages: Stages, text: str) -> None:
    stage, sim = _lab_host(stages)
    sim.files.real("/etc/hosts").write_text(text)
    before = sim.state()
    with pytest.raises(Failed, match=r"/etc/hosts: of the lines .* one is there without the other"):
        stage.run("names", sim)
    assert sim.state() == before


def test_a_hosts_file_that_is_a_link_stays_one(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    path, real = sim.files.real("/etc/hosts"), sim.files.real("/etc/hosts.static")
    path.rename(real)
    path.symlink_to("hosts.static")
    stage.run("names", sim)
    assert path.is_symlink()
    assert real.read_text() == f"{BLOCK}127.0.0.1 localhost\n"
    assert stage.run("names", sim).flat == []


def test_a_host_without_the_file_gets_it(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    sim.files.real("/etc/hosts").unlink()
    stage.run("names", sim)
    assert sim.text("/etc/hosts") == BLOCK


# --- interrupted


@pytest.mark.parametrize("flavour", REAL)
def test_an_interrupted_run_is_healed_by_the_next(stages: Stages, flavour: str) -> None:
    stage, whole = by_path(stages, flavour, *both())
    changes = stage.run("names", whole).changes
    assert changes >= 9
    for count in some(range(1, changes + 1)):
        stage, sim = by_path(stages, flavour, *both())
        stage.run("names", sim, dies_after=count)
        stage.run("names", sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run("names", sim).flat == []


@pytest.mark.parametrize("flavour", REAL)
def test_an_interrupted_swap_and_taking_back_are_healed_too(stages: Stages, flavour: str) -> None:
    swapped = {
        "links__0": {"usb4": {"halo1": "thunderbolt0", "halo2": f"pci-{BACK}"}},
        "links__1": {"usb4": {"halo2": f"pci-{FRONT}", "halo3": "thunderbolt0"}},
    }
    for change in (lambda stage: stage.change(**swapped), _without_links):

        def settled(change: Callable[[Stage], None] = change) -> tuple[Stage, SimHost]:
            stage, sim = by_path(stages, flavour, *both())
            stage.run("names", sim)
            change(stage)
            return stage, sim

        stage, whole = settled()
        changes = stage.run("names", whole).changes
        assert changes >= 4
        for count in some(range(1, changes + 1)):
            stage, sim = settled()
            stage.run("names", sim, dies_after=count)
            stage.run("names", sim)
            assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"


@pytest.mark.parametrize("flavour", REAL)
def test_a_dry_run_announces_it_and_changes_nothing(stages: Stages, flavour: str) -> None:
    stage, sim = by_path(stages, flavour, *both())
    before = sim.fingerprint()
    dry = stage.run("names", sim, dry=True, diff=True)
    assert (dry.flat, dry.announced) == ([], ("of interfaces and other ends",))
    assert sim.fingerprint() == before


def test_what_was_before_stays_known_when_somebody_removes_our_file(stages: Stages) -> None:
    stage, sim = _lab_host(stages)
    stage.run("names", sim)
    sim.files.real(TCP).unlink()
    assert stage.run("names", sim).flat == [f"write {TCP} 644 root:root", f"sysctl -q -p {TCP}"]
    assert sim.text(KEPT) == "net.ipv4.tcp_retries2 = 15\n"
