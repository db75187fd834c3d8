"""Links that are not as planned, on booted hosts: found, named, and what to do about it said.

A cable between halo1 and halo2, and a switch for all three that is to pass 9000 bytes. Strangers are namespaces of this
machine that are plugged in beside the hosts.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.spec import load
from roles.link_proof.plan import speed_port
from roles.virtual_host.names import Instance
from tests.lab.harness import ROOT, Lab, Run, free_network, make_lab

CABLE, PLUG = "usb4-2", "usb4-1"
"""halo1's end, and halo2's."""
FABRIC, SWITCH = "ethernet", "switch"
STRANGER = "halofleet.stranger"
NO_PINGS = (
    "add table inet odd; add chain inet odd in { type filter hook input priority 0; }; "
    "add rule inet odd in icmp type echo-request drop"
)

WEIGHT = 2


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    found = make_lab(tmp_path_factory.mktemp("links"), "links-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    found.down().ok()
    subprocess.run(["ip", "netns", "delete", STRANGER], check=False, capture_output=True)
    file = yaml.safe_load(found.yml.read_text())
    fabric = free_network(24, [IPv4Network(file["management"]), IPv4Network(file["links_range"])], found.instance)
    names = ["halo1", "halo2", "halo3"]
    file["links"] = [{"usb4": names[:2]}, {"ethernet": names, "subnet": str(fabric), "mtu": 9000}]
    found.yml.write_text(yaml.safe_dump(file, sort_keys=False))
    found.up().ok()
    yield found
    subprocess.run(["ip", "netns", "delete", STRANGER], check=False, capture_output=True)
    found.down().ok()


def netns(lab: Lab, space: str) -> str:
    return Instance(lab.instance, lab.home(), ROOT).netns(space)


def switch(lab: Lab) -> str:
    """The namespace that it is in."""
    (found,) = (line.split()[0] for line in output("ip", "netns", "list").splitlines() if _has_bridge(lab, line))
    return found


def _has_bridge(lab: Lab, line: str) -> bool:
    name = line.split()[0]
    return name.startswith(f"halofleet.{lab.instance}.") and SWITCH in output("ip", "-n", name, "-br", "link")


def status(lab: Lab, *flags: str, trace: Path | None = None) -> Run:
    return lab.pyinfra(*flags, str(lab.inventory), "deploys/status.py", trace=trace)


def said(lab: Lab) -> tuple[int, list[str]]:
    """Its exit status, and every finding but the guard's, which a link that is cut may well give something to do."""
    run = status(lab, "--json")
    print(run.err)
    document = json.loads(run.out)
    found = [
        f"{each['severity']} {each['node']}: {each['rule']}: {each['seen']} | {each['fix']}"
        for each in document["findings"]
        if not each["rule"].startswith(("guard", "state of the guard", "restarts of"))
    ]
    return run.status, found


def well(lab: Lab) -> None:
    code, found = said(lab)
    assert not found, "\n".join(found)
    assert code == 0


@contextmanager
def broken(lab: Lab, node: str, there: str, back: str) -> Iterator[None]:
    """A fault that a command on the node makes, and one that takes it back."""
    lab.ssh(node, there)
    try:
        yield
    finally:
        lab.ssh(node, back)


def address(lab: Lab, node: str, interface: str) -> IPv4Address:
    (found,) = (end.address.ip for end in load(lab.yml).ends(node) if end.interface == interface)
    return found


def mtus(lab: Lab, interface: str, *nodes: str) -> set[int]:
    return {json.loads(lab.ssh(node, f"ip -j link show dev {interface}"))[0]["mtu"] for node in nodes}


@contextmanager
def stranger(lab: Lab, own: str) -> Iterator[str]:
    """At the switch, with this address; yields its MAC."""
    output("ip", "netns", "add", STRANGER)
    try:
        output("ip", "-n", switch(lab), "link", "add", "odd", "type", "veth", "peer", "name", "eth0", "netns", STRANGER)
        output("ip", "-n", switch(lab), "link", "set", "odd", "master", SWITCH, "up")
        output("ip", "-n", STRANGER, "address", "add", own, "dev", "eth0")
        output("ip", "-n", STRANGER, "link", "set", "eth0", "up")
        yield json.loads(output("ip", "-n", STRANGER, "-j", "link", "show", "dev", "eth0"))[0]["address"]
    finally:
        output("ip", "netns", "delete", STRANGER)


# --- before and while the links are set up


def test_an_address_that_a_stranger_has_is_not_given(links: Lab) -> None:
    """Named, and no link of any node is touched."""
    taken = address(links, "halo2", FABRIC)
    with stranger(links, f"{taken}/24") as mac:
        run = links.cluster()
    assert run.status == 1
    assert f"halo2: address in use: {taken} is on the wire of {FABRIC} already: {mac}" in run.err
    for node in links.addresses:
        assert links.ssh(node, "ls /etc/systemd/network | grep -c 05-halofleet || true").strip() == "0"


def test_a_switch_that_passes_small_packets_only_costs_the_large_ones(links: Lab) -> None:
    """A warning and not a failed run; the second run leaves it so."""
    output("ip", "-n", switch(links), "link", "set", "port3", "mtu", "1500")
    run = links.cluster().ok()
    assert "ethernet: path MTU: packets of 9000 bytes do not get to halo3, of 1500 they do" in run.err
    assert "look at the switch" in run.err
    assert f"ready: http://{links.addresses['halo1']}:8080/v1" in run.out
    assert mtus(links, FABRIC, "halo1", "halo2", "halo3") == {1500}
    before = links.fingerprint()
    again = links.cluster("--json").ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0)
    assert links.fingerprint() == before
    code, found = said(links)
    assert code == 0
    assert [line.partition(" | ")[0] for line in found] == [
        f"warn {node}: ethernet: MTU: 1500: larger packets did not get through" for node in sorted(links.addresses)
    ]


def test_it_is_tried_again_when_asked(links: Lab) -> None:
    output("ip", "-n", switch(links), "link", "set", "port3", "mtu", "9000")
    links.cluster().ok()
    assert mtus(links, FABRIC, "halo1", "halo2", "halo3") == {1500}, "nobody has asked"
    links.cluster("--data", "prove=yes").ok()
    assert mtus(links, FABRIC, "halo1", "halo2", "halo3") == {9000}
    assert links.cluster("--json").ok().totals["success"] == 0
    well(links)


# --- what status says


def test_status_says_what_runs_and_costs_one_command(links: Lab, tmp_path: Path) -> None:
    run = status(links, trace=tmp_path / "trace").ok()
    assert run.commands == dict.fromkeys(links.addresses, 1), (tmp_path / "trace").read_text()
    assert f"serves nonsense as chat at http://{links.addresses['halo1']}:8080/v1" in run.out
    assert "halofleet-rpc-server.service: active (running); guard: well\n" in run.out
    assert "9000 bytes unsplit; round trip 0." in run.out
    assert "Gbit/s when it was proven" in run.out
    assert "3 nodes: 0 stop, 0 warn" in run.out
    document = json.loads(status(links, "--json").ok().out)
    (cable,) = (link for link in document["links"] if link["link"] == "usb4 halo1-halo2")
    assert cable["answers"] == 20
    assert 0 < cable["median_ms"] <= cable["worst_ms"]
    assert {node["node"] for node in document["nodes"]} == set(links.addresses)


def test_throughput_is_measured_when_asked_and_nobody_listens_afterwards(links: Lab) -> None:
    document = json.loads(status(links, "--json", "--data", "speed=yes").ok().out)
    rates: list[Any] = [link["gbit"] for link in document["links"] if "gbit" in link]
    assert len(rates) == 4, "the cable, and three pairs at the switch"
    assert all(rate > 0 for both in rates for rate in both)
    for node in links.addresses:
        assert links.ssh(node, "pgrep -c iperf3 || true").strip() == "0"


def test_what_measures_is_open_to_the_neighbour_alone(links: Lab) -> None:
    """A server that somebody forgot, on every address of halo2."""
    port = speed_port(load(links.yml))
    listen = f"systemd-run --quiet --unit=forgotten --collect iperf3 -s -p {port}; "
    listen += f"until ss -ltnH | grep -q :{port}; do sleep 0.1; done"
    with broken(links, "halo2", listen, "systemctl stop forgotten"):
        knock = f"timeout 3 bash -c '</dev/tcp/%s/{port}' 2>/dev/null && echo open || echo closed"

        def opens(node: str, where: IPv4Address | str) -> str:
            return links.ssh(node, knock % where).strip()

        assert opens("halo1", address(links, "halo2", PLUG)) == "open"
        assert opens("halo1", address(links, "halo2", FABRIC)) == "open"
        assert opens("halo3", address(links, "halo2", FABRIC)) == "closed"
        assert opens("halo3", links.addresses["halo2"]) == "closed"
        with pytest.raises(OSError, match="timed out"):
            socket.create_connection((links.addresses["halo2"], port), 2)


# --- faults


def finds(lab: Lab, *beginnings: str) -> list[str]:
    """Runs status, which ends with 1 and says all of these; what it said."""
    code, found = said(lab)
    assert code == 1, found
    for beginning in beginnings:
        assert any(line.startswith(f"stop {beginning}") for line in found), (beginning, found)
    return found


def test_a_wrong_mtu_on_one_end(links: Lab) -> None:
    with broken(links, "halo2", f"ip link set {PLUG} mtu 1400", f"ip link set {PLUG} mtu 1500"):
        (line,) = finds(links, f"halo2: usb4 halo1-halo2: MTU of an end: 1400 on {PLUG}")
        assert "cluster.py sets it again" in line
    well(links)


def test_a_switch_that_passes_less_than_before(links: Lab) -> None:
    output("ip", "-n", switch(links), "link", "set", "port2", "mtu", "1500")
    found = finds(links, "halo1: ethernet: path MTU: packets of 9000 bytes do not get to halo2, of 1500 they do")
    assert all("look at the switch" in line for line in found)
    output("ip", "-n", switch(links), "link", "set", "port2", "mtu", "9000")
    well(links)


def test_one_end_is_down(links: Lab) -> None:
    with broken(links, "halo2", f"ip link set {PLUG} down", f"ip link set {PLUG} up"):
        found = finds(
            links,
            f"halo1: usb4 halo1-halo2: no link: {CABLE} is up and has no carrier",
            f"halo2: usb4 halo1-halo2: interface: {PLUG} is down",
        )
        assert f"{PLUG} of halo2 is down: ip link set {PLUG} up there" in found[0]
    well(links)


def test_one_direction_is_dropped(links: Lab) -> None:
    chain = f'{{ type filter hook ingress device "{PLUG}" priority 0; policy drop; }}'
    drop = f"add table netdev odd; add chain netdev odd in {chain}"
    with broken(links, "halo2", f"nft '{drop}'", "nft delete table netdev odd"):
        finds(
            links,
            "halo1: usb4 halo1-halo2: half open: halo2's packets arrive, what halo1 sends does not arrive at halo2 | ",
            "halo2: usb4 halo1-halo2: half open: what halo2 sends arrives at halo1, nothing comes back | ",
        )
    well(links)


def test_pings_are_not_answered(links: Lab) -> None:
    with broken(links, "halo2", f"nft '{NO_PINGS}'", "nft delete table inet odd"):
        found = finds(links, "halo1: usb4 halo1-halo2: half open: halo2 is there and answers no ping")
        assert any("nft list ruleset" in line for line in found)
    well(links)


def test_two_have_one_address(links: Lab) -> None:
    """Another node of the lab, and a stranger."""
    own = address(links, "halo2", FABRIC)
    give = f"ip address %s {own}/32 dev {FABRIC}"
    with broken(links, "halo3", give % "add", give % "delete"):
        finds(
            links,
            f"halo1: ethernet: duplicate address: {own} is also {FABRIC} of halo3",
            f"halo2: ethernet: address in use: {own} is used by {FABRIC} of halo3 too",
        )
    with stranger(links, f"{own}/24") as mac:
        finds(links, f"halo2: ethernet: address in use: {own} is used by {mac}, which no node of this run has too")
    well(links)


EXCHANGE = """\
set -e
ip link set {one} down; ip link set {other} down
ip link set {one} name odd; ip link set {other} name {one}; ip link set odd name {other}
ip link set {one} up; ip link set {other} up
sleep 3
"""


def test_cables_in_each_others_ports(links: Lab) -> None:
    """At halo1: what was plugged into one port is in the other."""
    exchange = EXCHANGE.format(one=CABLE, other=FABRIC)
    with broken(links, "halo1", exchange, exchange):
        found = finds(links, f"halo1: usb4 halo1-halo2: wrong peer: at {CABLE} is {FABRIC} of halo2")
        assert any(f"the cable is in the wrong port of halo2: it belongs into {PLUG}" in line for line in found)
    links.cluster().ok()
    well(links)


def test_a_box_that_is_not_of_the_lab_at_the_other_end(links: Lab) -> None:
    output("ip", "netns", "add", STRANGER)
    output("ip", "-n", netns(links, "halo2"), "link", "set", PLUG, "netns", STRANGER)
    for interface in ("lo", PLUG):
        output("ip", "-n", STRANGER, "link", "set", interface, "up")
    time.sleep(4)  # its link-local address is probed for
    try:
        finds(
            links,
            f"halo1: usb4 halo1-halo2: wrong peer: at {CABLE} is fe80:",
            "halo2: usb4 halo1-halo2: interface: no usb4-1",
        )
        output("ip", "-n", STRANGER, "address", "add", f"{address(links, 'halo2', PLUG)}/31", "dev", PLUG)
        finds(links, f"halo1: usb4 halo1-halo2: wrong peer: at {CABLE} is ")
    finally:
        output("ip", "netns", "delete", STRANGER)
    found = finds(links, "halo1: usb4 halo1-halo2: interface: no usb4-2")
    assert any("plug the cable in at both ends" in line for line in found)
    links.up().ok()
    links.cluster().ok()
    well(links)


def test_a_new_plan_is_proven_and_a_fault_in_it_stops_the_run(links: Lab) -> None:
    """Before any serve relies on it: pings that are not answered here."""
    before = links.yml.read_text()
    file = yaml.safe_load(before)
    file["links"][0]["mtu"] = 4000
    links.yml.write_text(yaml.safe_dump(file, sort_keys=False))
    links.up().ok()
    with broken(links, "halo2", f"nft '{NO_PINGS}'", "nft delete table inet odd"):
        run = links.cluster()
        assert run.status == 1
        assert "halo1: usb4 halo1-halo2: half open: halo2 is there and answers no ping" in run.err
        assert "ready:" not in run.out
    links.cluster().ok()
    assert links.cluster("--json").ok().totals["success"] == 0
    assert mtus(links, CABLE, "halo1") == {4000}
    well(links)
