"""Interfaces named by a real udev: at once, by PCI path and by address, over reboots, replugs and other MAC addresses.

No USB4 here: a virtio card stands for the port, so `Driver=` differs in the file and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inventory.spec import load
from roles.network import ports
from roles.network.hosts import BEGIN, END
from tests.lab.harness import Lab, Run
from tests.vm.harness import Machines
from tests.vm.machine import Machine
from tests.vm.qemu import WIRED

PATH = "pci-0000:00:10.0"
DEVICE = f"/sys/bus/pci/devices/{PATH.removeprefix('pci-')}"
UNPLUG = f"echo 1 >{DEVICE}/remove"
PLUG = "echo 1 >/sys/bus/pci/rescan"
"""udev meets the card as at boot."""
CABLE = f"usb4: {{ln1: '{PATH}', ln2: '{PATH}'}}"
FABRIC = "ethernet: {{ln1: '{mac}', ln2: '{path}'}}, subnet: 10.112.0.0/24, name: lan10g"
INVENTORY = """\
management: {network}
defaults: {{os: debian-13, tuning: none}}
nodes:
  ln1: {{id: 1, address: {one.address}, ssh: {{key: {one.key}}}}}
  ln2: {{id: 2, address: {two.address}, ssh: {{key: {two.key}}}}}
links: [{links}]
models:
  nonsense: {{random: llama-spm}}
serves:
  chat: {{model: nonsense, controller: ln1, workers: [{workers}], context: 2048}}
"""
NAMES = "ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\\1/'"
HOSTS = "127.0.0.1 localhost\n127.0.1.1 machine\n"
"""As tests/vm/build_disk.sh writes it."""
RETRIES = "cat /proc/sys/net/ipv4/tcp_retries2"
MAC = "/sys/class/net/usb4-2/address"
ONLINE = "systemd-networkd-wait-online.service"
OTHER_MAC = "52:54:02:aa:bb:cc"
ADDRESSES = {"ln1": "10.44.0.0/31", "ln2": "10.44.0.1/31"}

Pair = tuple[Machine, Machine]


@pytest.fixture(scope="module")
def pair(machines: Machines) -> Iterator[Pair]:
    one, two = machines.make("ln1", wired=True), machines.make("ln2", wired=True)
    for machine in (one, two):
        machine.power_on()
    for machine in (one, two):
        machine.wait_up()
        machine.ssh("systemctl is-system-running --wait >/dev/null || true")
    yield one, two
    for machine in (one, two):
        machines.remove(machine.name)


@pytest.fixture(scope="module")
def lab(pair: Pair, machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return machines.lab(tmp_path_factory.mktemp("links"), *pair)


def run(lab: Lab, pair: Pair, machines: Machines, links: str = CABLE) -> Run:
    said = f"{{{links}}}" if links else ""
    text = INVENTORY.format(
        network=machines.network.subnet, one=pair[0], two=pair[1], links=said, workers="ln2" if links else ""
    )
    lab.yml.write_text(text)
    return lab.pyinfra("-y", "--json", str(lab.inventory), "tests/vm/links_only.py")


def names(machine: Machine) -> list[str]:
    return machine.ssh(NAMES).split()


def peer(machine: Machine) -> str:
    """The name that it has for the interface to the other one."""
    return {"ln1": "usb4-2", "ln2": "usb4-1"}[machine.name]


def well(pair: Pair) -> None:
    """Both have the link's address on the interface that is named after it, and reach the other by its name."""
    for machine in pair:
        dev = peer(machine)
        shown = f"ip -4 -o address show dev {dev}"
        wait = f"for i in $(seq 100); do {shown} 2>/dev/null | grep -q inet && break; sleep 0.2; done"
        assert ADDRESSES[machine.name] in machine.ssh(f"{wait}; {shown}")
        assert WIRED not in names(machine)
    for machine, other in (pair, pair[::-1]):
        machine.ssh(f"ping -c 1 -W 5 -I {peer(machine)} {other.name}-usb4")


def test_what_is_there_gets_its_name_at_once_and_ssh_lives(lab: Lab, pair: Pair, machines: Machines) -> None:
    boots = [machine.boot_id() for machine in pair]
    assert all(WIRED in names(machine) for machine in pair)
    with pair[0]._client() as client:
        done = run(lab, pair, machines).ok()
        _, out, _ = client.exec_command("echo alive")
        assert out.read() == b"alive\n", "the session of before the run is gone"
    assert done.totals["error"] == 0
    well(pair)
    assert [machine.boot_id() for machine in pair] == boots


def test_the_file_is_the_one_of_production_but_for_the_driver(lab: Lab, pair: Pair) -> None:
    for machine in pair:
        (port,) = ports.ports(load(lab.yml), machine.name)
        wanted = ports.file(port)
        assert f"Path={PATH}\nDriver={ports.DRIVER}\n" in wanted.content
        assert machine.ssh(f"cat {wanted.path}") == wanted.content.replace(
            "Driver=thunderbolt-net", "Driver=virtio_net"
        )


def test_hosts_module_and_settings_are_there(pair: Pair) -> None:
    one, two = pair
    assert one.ssh("cat /etc/hosts") == f"{BEGIN}\n10.44.0.1 ln2-usb4\n{END}\n{HOSTS}"
    assert two.ssh("getent hosts ln1-usb4").split() == ["10.44.0.0", "ln1-usb4"]
    for machine in pair:
        machine.ssh("test -d /sys/module/thunderbolt_net")
        assert machine.ssh(RETRIES).strip() == "8"


def test_a_second_run_changes_nothing(lab: Lab, pair: Pair, machines: Machines) -> None:
    before = lab.fingerprint()
    done = run(lab, pair, machines).ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert lab.fingerprint() == before


def test_it_comes_back_after_a_reboot_and_with_another_mac_address(lab: Lab, pair: Pair, machines: Machines) -> None:
    """In one go: a boot is half a minute."""
    one, two = pair
    before, boot = one.ssh(f"cat {MAC}").strip(), two.boot_id()
    one.ssh("systemctl poweroff")
    two.ssh("systemctl reboot")
    one.wait_off()
    one.wire_mac = OTHER_MAC
    one.power_on()
    two.wait_up(boot)
    one.wait_up()
    assert one.ssh(f"cat {MAC}").strip() == OTHER_MAC != before
    well(pair)
    for machine in pair:
        machine.ssh("test -d /sys/module/thunderbolt_net")
        assert machine.ssh(RETRIES).strip() == "8"
    assert run(lab, pair, machines).ok().totals["success"] == 0


def test_it_comes_back_after_a_replug_and_its_absence_stops_nothing(lab: Lab, pair: Pair, machines: Machines) -> None:
    one = pair[0]
    one.ssh(UNPLUG)
    assert "usb4-2" not in names(one)
    done = run(lab, pair, machines)
    one.ssh(PLUG)
    assert "usb4-2 is not there yet (the cable to ln2); what it gets when it comes is written" in done.err
    assert done.ok().totals["success"] == 0
    well(pair)


def test_from_a_cable_to_a_fabric_it_is_renamed_while_it_is_up(lab: Lab, pair: Pair, machines: Machines) -> None:
    """By its address on one box and by its path on the other; what had the old name keeps nothing of it."""
    run(lab, pair, machines, FABRIC.format(mac=OTHER_MAC, path=PATH)).ok()
    for machine in pair:
        assert {"lan10g"} == set(names(machine)) & {"lan10g", "usb4-1", "usb4-2", WIRED}
    pair[0].ssh("ping -c 1 -W 5 -I lan10g ln2-lan10g")


def test_a_cable_that_is_out_does_not_hold_up_the_boot(pair: Pair) -> None:
    """The interface gets its name by its permanent address, and what waits for the network does not wait for it: not
    because it is configured without a carrier (systemd 255 and later), and not because it is asked not to."""
    one = pair[0]
    one.ssh(f"systemctl enable {ONLINE} && systemctl add-wants multi-user.target network-online.target")
    one.plug(False)
    one.reboot()
    one.ssh("systemctl is-system-running --wait >/dev/null || true")
    assert one.ssh("cat /sys/class/net/lan10g/carrier").strip() == "0"
    assert one.ssh(f"systemctl show -p Result,ActiveState {ONLINE}").split() == ["Result=success", "ActiveState=active"]
    assert "Required For Online: no" in one.ssh("networkctl status lan10g")
    one.plug(True)
    one.ssh("for i in $(seq 50); do ping -c 1 -W 1 -I lan10g ln2-lan10g && exit; sleep 0.2; done; exit 1")


def test_without_links_all_of_it_is_given_back(lab: Lab, pair: Pair, machines: Machines) -> None:
    run(lab, pair, machines, "").ok()
    for machine in pair:
        assert machine.ssh("cat /etc/hosts") == HOSTS
        assert machine.ssh(RETRIES).strip() == "15"
        assert machine.ssh("ls /etc/systemd/network /etc/modules-load.d /etc/sysctl.d").count("halofleet") == 0
        machine.ssh(f"{UNPLUG}; {PLUG}; udevadm settle")
        assert WIRED in names(machine)
