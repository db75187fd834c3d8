"""The topology by example: addresses that follow from ids alone, the better of two ways, routes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import Lab, load
from inventory.spec.topology.addresses import RangeTooSmall, in_fabric, loopback, subnet, subnet_index
from inventory.spec.topology.network import Passage, Route
from tests.unit.spec_labs import made

DEFAULT = IPv4Network("10.44.0.0/16")


def lab_of(folder: Path, *links: dict[str, Any], serves: dict[str, list[str]] | None = None, nodes: int = 4) -> Lab:
    """A virtual lab of nodes n1, n2 ... with these links; serves: controller -> workers."""
    names = [f"n{number}" for number in range(1, nodes + 1)]
    chats = {
        f"chat{index}": {"model": "mine", "controller": controller, "workers": workers, "port": 8080 + index}
        for index, (controller, workers) in enumerate((serves or {"n1": []}).items())
    }
    data = {
        "management": "10.43.0.0/24",
        "virtual": {},
        "defaults": {"os": "debian-13", "kernel": "none"},
        "nodes": {name: {"id": index + 1, "address": f"10.43.0.{index + 11}"} for index, name in enumerate(names)},
        "links": links,
        "models": {"mine": {"file": "/m.gguf"}},
        "serves": chats,
    }
    return made(folder, data)


def cable(one: int, other: int, **more: int) -> dict[str, Any]:
    return {"usb4": [f"n{one}", f"n{other}"], **more}


def fabric(*numbers: int, net: int = 1, **more: Any) -> dict[str, Any]:
    name = f"net{net}"
    return {"ethernet": [f"n{number}" for number in numbers], "subnet": f"192.168.{net}.0/24", "name": name, **more}


def passed(lab: Lab, one: str, other: str) -> list[str]:
    """The links on the way and the nodes in the middle, in turn."""
    way = lab.way(one, other)
    assert way is not None
    names = [hop.link.name for hop in way.hops]
    return [name for pair in zip(names, (*way.via, ""), strict=True) for name in pair][:-1]


@given(st.integers(1, 254), st.integers(1, 254), st.integers(0, 1), st.integers(8, 32))
def test_a_range_holds_the_cable_or_says_what_would(one: int, other: int, number: int, prefix: int) -> None:
    if one == other:
        return
    net = IPv4Network(("10.0.0.0", prefix))
    highest = max(one, other)
    enough = 32 - (2 * subnet_index(one, other, number) + 2 + highest).bit_length()
    if prefix <= enough:
        found = subnet(net, one, other, number, highest=highest)
        assert found.subnet_of(net)
        assert found.broadcast_address < loopback(net, highest)
        return
    with pytest.raises(RangeTooSmall) as caught:
        subnet(net, one, other, number, highest=highest)
    assert caught.value.prefix == enough


@given(st.integers(1, 254), st.integers(16, 30))
def test_a_fabric_holds_the_node_or_says_what_would(node: int, prefix: int) -> None:
    net = IPv4Network(("10.0.0.0", prefix))
    enough = 32 - (node + 1).bit_length()
    if prefix <= enough:
        assert net.network_address < in_fabric(net, node).ip < net.broadcast_address
        return
    with pytest.raises(RangeTooSmall) as caught:
        in_fabric(net, node)
    assert caught.value.prefix == enough


def test_every_pair_of_ids_has_its_own_two_indices() -> None:
    indices = [subnet_index(*pair, number) for pair in combinations(range(1, 255), 2) for number in (0, 1)]
    assert sorted(indices) == list(range(254 * 253))


def test_the_default_range_holds_180_nodes() -> None:
    """65,536 addresses are 32,768 cables: 2 for each of the 16,110 pairs of 180, and 180 loopback addresses."""
    assert subnet(DEFAULT, 179, 180, 1, highest=180).subnet_of(DEFAULT)


def test_addresses_follow_from_ids() -> None:
    assert str(subnet(DEFAULT, 1, 2, 0, highest=9)) == str(subnet(DEFAULT, 2, 1, 0, highest=2)) == "10.44.0.0/31"
    assert str(subnet(DEFAULT, 1, 2, 1, highest=2)) == "10.44.0.2/31"
    assert str(loopback(DEFAULT, 3)) == "10.44.255.252"
    assert str(in_fabric(IPv4Network("10.45.0.0/24"), 3)) == "10.45.0.3/24"


def test_a_direct_link_is_better_than_two(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, fabric(1, 3), cable(1, 2), cable(2, 3))
    assert passed(lab, "n1", "n3") == ["net1"]


def test_a_cable_is_better_than_a_fabric(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, fabric(1, 2, 3), cable(1, 2))
    assert passed(lab, "n1", "n2") == ["usb4"]
    assert passed(lab, "n2", "n3") == ["net1"]


def test_the_first_cable_is_better_than_the_second(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, cable(1, 2, number=1), cable(1, 2))
    assert passed(lab, "n2", "n1") == ["usb4"]
    assert [end.interface for end in lab.ends("n1")] == ["usb4-2", "usb4-2-1"]


def test_of_two_ways_the_lower_subnets(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, cable(1, 2), cable(2, 4), cable(1, 3), cable(3, 4))
    assert passed(lab, "n1", "n4") == ["usb4", "n2", "usb4"] == passed(lab, "n4", "n1")


def test_from_a_fabric_to_another(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, fabric(1, 2, net=1, mtu=9000), fabric(2, 3, net=2), cable(3, 4))
    assert passed(lab, "n1", "n4") == ["net1", "n2", "net2", "n3", "usb4"]
    way = lab.way("n1", "n4")
    assert way is not None
    assert way.mtu == 1500


def test_no_way(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, cable(1, 2), cable(3, 4))
    assert lab.way("n1", "n3") is None
    assert lab.way("n1", "n1") is None
    assert lab.way("n1", "nobody") is None
    assert lab.way_to("n2") is None


def test_a_chain_of_three(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, cable(1, 2), cable(2, 3), serves={"n1": ["n2", "n3"]}, nodes=3)
    first, last = IPv4Address("10.44.255.254"), IPv4Address("10.44.255.252")
    assert [lab.network(name).loopback for name in lab.nodes] == [first, None, last]
    assert lab.network("n1").routes == (Route(last, IPv4Address("10.44.0.1"), "usb4-2", first),)
    assert lab.network("n3").routes == (Route(first, IPv4Address("10.44.0.8"), "usb4-2", last),)
    assert lab.network("n2").routes == (
        Route(last, IPv4Address("10.44.0.9"), "usb4-3", None),
        Route(first, IPv4Address("10.44.0.0"), "usb4-1", None),
    )
    assert lab.network("n2").passages == (
        Passage("usb4-3", "usb4-1", last, first),
        Passage("usb4-1", "usb4-3", first, last),
    )
    assert lab.names("n1") == ((IPv4Address("10.44.0.1"), "n2-usb4"), (last, "n3-routed"))
    way = lab.way_to("n3")
    assert way is not None
    assert (way.via, way.source, way.destination) == (("n2",), first, last)


def test_a_node_in_the_middle_that_is_an_end_too_has_one_route(tmp_path: Path) -> None:
    """n3 carries n1's packets to n4's loopback address, and is n1's worker by its own."""
    lab = lab_of(tmp_path, cable(1, 2), cable(2, 3), cable(3, 4), serves={"n1": ["n3", "n4"]})
    to_first = [route for route in lab.network("n3").routes if route.destination == IPv4Address("10.44.255.254")]
    assert [route.source for route in to_first] == [IPv4Address("10.44.255.252")]


def test_nobody_forwards_where_no_serve_wants_it(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, cable(1, 2), cable(2, 3), serves={"n1": ["n2"]}, nodes=3)
    assert all(not lab.network(name).routes and not lab.network(name).passages for name in lab.nodes)
    assert {lab.network(name).loopback for name in lab.nodes} == {None}


def test_a_port_that_is_no_name_gets_the_links(tmp_path: Path) -> None:
    """A PCI path or a MAC address says which interface is called after the link; a name is the interface's own."""
    path = tmp_path / "lab.yml"
    path.write_text("""
management: 10.43.0.0/24
defaults: {os: fedora-43}
nodes:
  n1: {id: 1, address: 10.43.0.11}
  n2: {id: 20, address: 10.43.0.12}
links:
  - usb4: {n1: pci-0000:c8:00.5, n2: thunderbolt0}
  - ethernet: {n1: "aa:bb:cc:dd:ee:ff", n2: enp97s0}
    subnet: 10.45.0.0/24
models: {mine: {file: /m.gguf}}
serves: {chat: {model: mine, controller: n1, workers: [n2]}}
""")
    lab = load(path)
    assert [(end.interface, end.named) for end in lab.ends("n1")] == [("usb4-20", True), ("ethernet", True)]
    assert [(end.interface, end.named) for end in lab.ends("n2")] == [("thunderbolt0", False), ("enp97s0", False)]
    assert str(lab.links[1].end("n2").address) == "10.45.0.20/24"
