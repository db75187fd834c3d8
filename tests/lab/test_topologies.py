"""A ring, a chain with routing through the middle, and a switch, one after another on the same booted hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
import yaml

from inventory.spec import Lab as Inventory
from inventory.spec import load
from tests.lab.harness import ROOT, Lab, free_network, make_lab

WEIGHT = 5

ICMP = 28
"""Bytes of IPv4 and ICMP headers around a ping's payload."""

RING: list[dict[str, Any]] = [{"usb4": ["halo1", "halo2"]}, {"usb4": ["halo2", "halo3"]}, {"usb4": ["halo3", "halo1"]}]
CHAIN: list[dict[str, Any]] = [{"usb4": ["halo1", "halo2"]}, {"usb4": ["halo2", "halo3"], "mtu": 9000}]
NODES = ("halo1", "halo2", "halo3", "halo4")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    found = make_lab(tmp_path_factory.mktemp("shapes"), "shapes-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    found.down().ok()
    yield found
    found.down().ok()


def switch(*names: str) -> list[dict[str, Any]]:
    return [{"ethernet": [*names], "subnet": "FABRIC", "mtu": 9000}]


def reshape(lab: Lab, links: list[dict[str, Any]], *, nodes: int) -> Inventory:
    """Writes the file, builds the hosts, converges, and looks at the second run."""
    file = yaml.safe_load(lab.yml.read_text())
    first = IPv4Address(int(IPv4Network(file["management"]).network_address) + 10)
    names = [f"halo{number}" for number in range(1, nodes + 1)]
    file["nodes"] = {name: {"id": id_, "address": str(first + id_)} for id_, name in enumerate(names, 1)}
    fabric = free_network(24, [IPv4Network(file["management"]), IPv4Network(file["links_range"])], lab.instance)
    file["links"] = [link | ({"subnet": str(fabric)} if "subnet" in link else {}) for link in links]
    file["serves"]["chat"]["workers"] = names[1:]
    lab.yml.write_text(yaml.safe_dump(file, sort_keys=False))
    lab.addresses |= {name: node["address"] for name, node in file["nodes"].items()}
    lab.up().ok()
    run = lab.cluster().ok()
    assert run.out.splitlines()[-1] == f"ready: http://{lab.addresses['halo1']}:8080/v1"
    again = lab.cluster("--json").ok()
    assert (again.totals["success"], again.totals["error"]) == (0, 0)
    return load(lab.yml)


def every_address_answers(lab: Lab, inventory: Inventory) -> int:
    """From every node to everything that it has a link or a route to: over the planned interface, from the planned
    address, in packets of the full size that may not be split."""
    asked = 0
    for node in inventory.nodes:
        network = inventory.network(node)
        wanted: list[tuple[IPv4Address, str, IPv4Address | None, int]] = [
            (other.address.ip, end.interface, end.address.ip, link.mtu)
            for link, end in network.ends
            for other in link.ends
            if other.node != node
        ]
        mtu = min((link.mtu for link in inventory.links), default=1500)
        wanted += [(route.destination, route.interface, route.source, mtu) for route in network.routes]
        for address, interface, source, size in wanted:
            route = lab.ssh(node, f"ip -4 route get {address}")
            assert f" dev {interface} " in route, (node, address, route)
            assert source is None or f" src {source} " in route, (node, address, route)
            lab.ssh(node, f"ping -q -c 1 -W 3 -M do -s {size - ICMP} {address}")
            asked += 1
        every_name_is_known(lab, inventory, node)
    return asked


def every_name_is_known(lab: Lab, inventory: Inventory, node: str) -> None:
    """To the node's own resolver, and no other of ours."""
    names = {name: str(address) for address, name in inventory.names(node)}
    assert names
    found = [line.split() for line in lab.ssh(node, f"getent hosts {' '.join(names)}").splitlines()]
    assert {name: address for address, name in found} == names
    ours = lab.ssh(node, "sed -n '/^# BEGIN halofleet/,/^# END halofleet/p' /etc/hosts").splitlines()
    assert len(ours) == len(names) + 2
    assert lab.ssh(node, "cat /proc/sys/net/ipv4/tcp_retries2").strip() == "8"


def test_a_ring(hosts: Lab) -> None:
    inventory = reshape(hosts, RING, nodes=3)
    assert every_address_answers(hosts, inventory) == 6


def test_a_chain_routes_through_its_middle(hosts: Lab) -> None:
    inventory = reshape(hosts, CHAIN, nodes=3)
    assert every_address_answers(hosts, inventory) == 4 + 4
    far = inventory.ways("chat")[1]
    assert far.via == ("halo2",)
    listens = hosts.ssh("halo3", "ss -ltnH | awk '{print $4}'").split()
    assert f"{far.destination}:50052" in listens


def test_the_middle_passes_on_nothing_else(hosts: Lab) -> None:
    """From the management network, and from the middle's own addresses, there is no way to the far worker's port."""
    inventory = load(hosts.yml)
    far = inventory.ways("chat")[1]
    forwards = "for i in /proc/sys/net/ipv4/conf/*/forwarding; do echo $i $(cat $i); done"
    assert "usb4-1/forwarding 1" in hosts.ssh("halo2", forwards)
    assert "usb4-2/forwarding 0" in hosts.ssh("halo1", forwards)
    port = f"timeout 3 bash -c '</dev/tcp/{far.destination}/50052' 2>/dev/null && echo open || echo closed"
    assert hosts.ssh("halo2", port).strip() == "closed"
    # halo1 and halo3 may talk, but not from any other address of halo1 than its loopback address.
    own = inventory.network("halo1").ends[0][1].address.ip
    ping = f"ping -q -c 1 -W 2 -I {own} {far.destination} >/dev/null && echo passed || echo stopped"
    assert hosts.ssh("halo1", ping).strip() == "stopped"


def test_a_switch(hosts: Lab) -> None:
    inventory = reshape(hosts, switch(*NODES), nodes=4)
    assert every_address_answers(hosts, inventory) == 12
    for node in ("halo1", "halo2", "halo3"):
        addresses = hosts.ssh(node, "ip -4 -o address show")
        routes = hosts.ssh(node, "ip -4 route show")
        files = hosts.ssh(node, "ls /etc/systemd/network")
        links_range = str(inventory.spec.links_range.network_address).rsplit(".", 2)[0]
        assert f" {links_range}." not in addresses + routes, "nothing of the chain is left"
        assert "halofleet-lo" not in files
        assert "halofleet-usb4" not in files


def test_a_ring_again_leaves_nothing_of_the_switch(hosts: Lab) -> None:
    inventory = reshape(hosts, RING, nodes=3)
    assert every_address_answers(hosts, inventory) == 6
    assert "ethernet" not in hosts.ssh("halo1", "ip link; ls /etc/systemd/network")
