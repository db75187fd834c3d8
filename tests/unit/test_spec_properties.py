"""What holds for every lab there is. HALOFLEET_FUZZ sets how many are drawn: a third of it for each property."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations, pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from inventory.spec import Lab
from inventory.spec.language.patterns import INTERFACE
from inventory.spec.topology.ways import Way
from tests.unit.spec_labs import Data, ends, islands, labs, made

EXAMPLES = max(1, int(os.environ.get("HALOFLEET_FUZZ", "300")) // 3)
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def lab_of(data: Data) -> Lab:
    with tempfile.TemporaryDirectory() as folder:
        return made(Path(folder), data)


@drawn
@given(labs())
def test_a_lab(data: Data) -> None:
    """Everything about one lab, which is loaded once."""
    lab = lab_of(data)
    nothing_overlaps(lab)
    ends_agree(lab)
    interfaces_are_unique(lab)
    names_lead_to_their_nodes(lab)
    workers_are_reached(lab)
    ways_are_the_islands(lab, data)
    packets_arrive(lab)
    only_what_is_needed_passes(lab)


def nothing_overlaps(lab: Lab) -> None:
    nets = [link.subnet for link in lab.links] + [IPv4Network(address) for address in lab.loopbacks.values()]
    ordered = sorted([lab.spec.management, *nets])
    assert not any(one.overlaps(other) for one, other in pairwise(ordered))
    own = [node.address for node in lab.nodes.values()]
    own += [end.address.ip for link in lab.links for end in link.ends] + list(lab.loopbacks.values())
    assert len(own) == len(set(own))
    inside = lab.spec.links_range
    assert all(address in inside for address in lab.loopbacks.values())
    assert all(link.subnet.subnet_of(inside) for link in lab.links if link.kind == "usb4")
    cables = [link.subnet for link in lab.links if link.kind == "usb4"]
    assert all(net.subnet_of(lab.spec.links_range) for net in cables)


def ends_agree(lab: Lab) -> None:
    assert len(lab.links) == len(lab.spec.links)
    for link in lab.links:
        assert [end.node for end in link.ends] == sorted((end.node for end in link.ends), key=lambda n: lab.node(n).id)
        assert {end.address.network for end in link.ends} == {link.subnet}
        if link.kind == "usb4":
            low, high = link.ends
            assert (link.subnet.prefixlen, int(high.address.ip) - int(low.address.ip)) == (31, 1)
        else:
            assert not {link.subnet.network_address, link.subnet.broadcast_address} & {e.address.ip for e in link.ends}
        assert all(link.end(end.node) is end and end in lab.ends(end.node) for end in link.ends)
    assert sum(len(lab.ends(name)) for name in lab.nodes) == sum(len(link.ends) for link in lab.links)


def interfaces_are_unique(lab: Lab) -> None:
    for name in lab.nodes:
        found = [end.interface for end in lab.ends(name)]
        assert len(found) == len(set(found))
        assert all(re.fullmatch(INTERFACE, interface) for interface in found)
        assert all(end.named == (end.port != end.interface) for end in lab.ends(name))


def names_lead_to_their_nodes(lab: Lab) -> None:
    owners = owner_of(lab)
    for name in lab.nodes:
        found = lab.names(name)
        assert len({word for _, word in found}) == len(found)
        assert all(word.startswith(f"{owners[address]}-") for address, word in found)


def workers_are_reached(lab: Lab) -> None:
    for name, serve in lab.spec.serves.items():
        assert len(lab.ways(name)) == len(serve.workers)
        for worker, way in zip(serve.workers, lab.ways(name), strict=True):
            assert (way.out.node, way.into.node) == (serve.controller, worker)
            assert lab.way_to(worker) == way == lab.way(serve.controller, worker)
            assert owner_of(lab)[way.source] == serve.controller
            assert owner_of(lab)[way.destination] == worker


def ways_are_the_islands(lab: Lab, data: Data) -> None:
    """Between any two nodes is the shortest way, if there can be any, and the way back is the way there."""
    island = islands(data)
    pairs = list(combinations(sorted(lab.nodes), 2))
    for one, other in pairs[:: 1 + len(pairs) // 30]:
        there, back = lab.way(one, other), lab.way(other, one)
        assert (there is not None) == (back is not None) == (island[one] == island[other])
        if there is not None and back is not None:
            assert len(there.hops) == distances(data, one)[other]
            is_connected(there, one, other)
            turned = tuple((hop.link, hop.into, hop.out) for hop in reversed(back.hops))
            assert turned == tuple((hop.link, hop.out, hop.into) for hop in there.hops)
            assert (there.source, there.destination) == (back.destination, back.source)


def distances(data: Data, start: str) -> dict[str, int]:
    """Node -> over how many links it is reached."""
    found, reached = {start: 0}, [start]
    for here in reached:
        near = {name for link in data["links"] if here in (joined := ends(link)) for name in joined}
        new = sorted(near - found.keys())
        found |= dict.fromkeys(new, found[here] + 1)
        reached += new
    return found


def is_connected(way: Way, start: str, goal: str) -> None:
    passed = [start, *way.via, goal]
    assert len(passed) == len(set(passed)) == len(way.hops) + 1
    for (here, there), hop in zip(pairwise(passed), way.hops, strict=True):
        assert (hop.out.node, hop.into.node) == (here, there)
        assert hop.out in hop.link.ends
        assert hop.into in hop.link.ends
    assert way.mtu == min(hop.link.mtu for hop in way.hops)


def packets_arrive(lab: Lab) -> None:
    """The routes and passages of every node, followed hop by hop, there and back."""
    for serve in lab.spec.serves:
        for way in lab.ways(serve):
            there = list(travels(lab, way.out.node, way.source, way.destination))
            back = list(travels(lab, way.into.node, way.destination, way.source))
            assert there == [way.out.node, *way.via, way.into.node]
            assert back == there[::-1]


def travels(lab: Lab, node: str, source: IPv4Address, destination: IPv4Address) -> Iterator[str]:
    """The nodes that a packet comes by, as a kernel forwards it."""
    owners, entered = owner_of(lab), ""
    for _ in lab.nodes:
        yield node
        if owners[destination] == node:
            return
        network = lab.network(node)
        routes = [route for route in network.routes if route.destination == destination]
        assert len(routes) <= 1, "a route is named by its destination"
        if routes:
            out, via = routes[0].interface, routes[0].via
            assert entered or routes[0].source == source
        else:
            (out,) = {end.interface for link, end in network.ends if destination in link.subnet}
            via = destination
        if entered:
            allowed = [
                (passage.into, passage.out)
                for passage in network.passages
                if (passage.source, passage.destination) == (source, destination)
            ]
            assert allowed == [(entered, out)]
        (link,) = [link for link, end in network.ends if end.interface == out]
        (end,) = [end for end in link.ends if end.address.ip == via]
        node, entered = end.node, end.interface
    raise AssertionError(f"{source} -> {destination} runs in a circle")


def only_what_is_needed_passes(lab: Lab) -> None:
    """No node forwards what no serve sends, and a loopback address is there where it is used."""
    far = [way for serve in lab.spec.serves for way in lab.ways(serve) if way.via]
    wanted = {(way.source, way.destination) for way in far} | {(way.destination, way.source) for way in far}
    used = {address for pair in wanted for address in pair}
    for name in lab.nodes:
        network = lab.network(name)
        assert {(p.source, p.destination) for p in network.passages} <= wanted
        assert {route.destination for route in network.routes} <= used
        assert (network.loopback is not None) == (lab.loopbacks[name] in used)


def owner_of(lab: Lab) -> dict[IPv4Address, str]:
    owners = {address: name for name, address in lab.loopbacks.items()}
    return owners | {end.address.ip: end.node for link in lab.links for end in link.ends}
