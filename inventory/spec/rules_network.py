"""Rules about nodes, their addresses and their cables."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from inventory.spec import topology
from inventory.spec.draft import Draft
from inventory.spec.errors import Path, Problem, did_you_mean, quoted

_NOT_UNICAST = tuple(IPv4Network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))
"""This network, loopback, multicast and reserved (RFC 6890)."""


def _names(draft: Draft) -> Iterator[Problem]:
    taken = {
        draft.lab: "the lab's own name, which pyinfra gives to a group",
        "all": "pyinfra's group of all nodes",
        "localhost": "every machine's name for itself",
    }
    for name in draft.nodes or {}:
        if name in taken:
            yield ("nodes", name), f"{quoted(name)} is {taken[name]}; name the node otherwise"
    if draft.lab == "all":
        yield (), f"the lab is named by its file, and {quoted('all')} is {taken['all']}; name the file otherwise"


def _ids(draft: Draft) -> Iterator[Problem]:
    owner: dict[int, str] = {}
    for name, node in draft.whole_nodes.items():
        if (first := owner.setdefault(node.id, name)) != name:
            yield ("nodes", name, "id"), f"{node.id} is the id of {first} already; each node needs its own, 1 to 254"


def _addresses(draft: Draft) -> Iterator[Problem]:
    owner: dict[IPv4Address, str] = {}
    for name, node in draft.whole_nodes.items():
        path = ("nodes", name, "address")
        if (first := owner.setdefault(node.address, name)) != name:
            yield path, f"{node.address} is the address of {first} already; each node needs its own"
        if any(node.address in net for net in _NOT_UNICAST):
            yield path, f"{node.address} cannot be a node's address: it is loopback, multicast or reserved"
        if draft.links_range and node.address in draft.links_range and not _overlap(draft):
            yield path, f"{node.address} is in links_range {draft.links_range}, which is for cables only"
        if problem := _management_problem(draft, node.address):
            yield path, problem


def _management_problem(draft: Draft, address: IPv4Address) -> str | None:
    if draft.virtual is None:
        return None
    net = draft.virtual.management
    if address not in net:
        return f"{address} is outside virtual.management {net}, where all virtual nodes are"
    taken = {net.network_address + 1: "the bridge", net.network_address: "the network", net.broadcast_address: "all"}
    if address in taken:
        return f"{address} is the address of {taken[address]} in virtual.management {net}; choose another"
    return None


def _kernels(draft: Draft) -> Iterator[Problem]:
    for name, node in draft.whole_nodes.items():
        if draft.virtual is not None and node.kernel != "none":
            hint = "a virtual node runs on this machine's kernel: write `kernel: none`"
            yield ("nodes", name), f"kernel is {quoted(node.kernel)}; {hint}"


def _ranges(draft: Draft) -> Iterator[Problem]:
    ranges: list[tuple[Path, IPv4Network | None]] = [
        (("links_range",), draft.links_range),
        (("virtual", "management"), draft.virtual.management if draft.virtual else None),
    ]
    for path, net in ranges:
        bad = next((bad for bad in _NOT_UNICAST if net and net.overlaps(bad)), None)
        if bad:
            yield path, f"{net} overlaps {bad}, which is loopback, multicast or reserved"
    if _overlap(draft):
        management = draft.virtual and draft.virtual.management
        yield ("links_range",), f"{draft.links_range} overlaps virtual.management {management}; choose ranges apart"


def _overlap(draft: Draft) -> bool:
    return bool(draft.links_range and draft.virtual and draft.links_range.overlaps(draft.virtual.management))


def _ends(draft: Draft) -> Iterator[Problem]:
    plugged: dict[tuple[str, str], int] = {}
    for index, link in draft.whole_links:
        path = ("links", index, "usb4")
        if len(link.usb4) != 2:
            yield path, f"a cable has two ends, at two nodes; this one has {len(link.usb4)}"
        for node, interface in link.usb4.items():
            if draft.nodes is not None and node not in draft.nodes:
                yield (*path, node), f"there is no node {quoted(node)}{did_you_mean(node, draft.nodes)}"
            first = plugged.setdefault((node, interface), index)
            if first != index:
                text = f"{interface} of {node} has the cable links[{first}] already; an interface has one"
                yield (*path, node), text


def _pairs(draft: Draft) -> Iterator[Problem]:
    cables: dict[frozenset[str], dict[int, int]] = {}
    for index, link in draft.whole_links:
        if len(link.usb4) != 2:
            continue
        numbers = cables.setdefault(frozenset(link.usb4), {})
        first = numbers.setdefault(link.number, index)
        if first == index:
            continue
        pair = " and ".join(sorted(link.usb4))
        if len(numbers) == topology.CABLES_PER_PAIR:
            yield ("links", index), f"{pair} have {topology.CABLES_PER_PAIR} cables already; two nodes have no more"
        else:
            other = 1 - link.number
            text = f"cable {link.number} between {pair} is links[{first}] already; give one of them `number: {other}`"
            yield ("links", index), text


def _capacity(draft: Draft) -> Iterator[Problem]:
    nodes = draft.whole_nodes
    for index, link in draft.whole_links:
        if draft.links_range is None or len(link.usb4) != 2 or not link.usb4.keys() <= nodes.keys():
            continue
        one, other = sorted(link.usb4)
        try:
            topology.subnet(draft.links_range, nodes[one].id, nodes[other].id, link.number)
        except topology.RangeTooSmall as small:
            text = f"links_range {draft.links_range} cannot hold the cable between {one} (id {nodes[one].id}) and "
            text += f"{other} (id {nodes[other].id}); a /{small.prefix} is enough, or lower ids"
            yield ("links", index), text


RULES = (_names, _ids, _addresses, _kernels, _ranges, _ends, _pairs, _capacity)
