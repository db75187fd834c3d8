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
    for name, node in (draft.nodes or {}).items():
        if node.id is not None and (first := owner.setdefault(node.id, name)) != name:
            yield ("nodes", name, "id"), f"{node.id} is the id of {first} already; each node needs its own, 1 to 254"


def _addresses(draft: Draft) -> Iterator[Problem]:
    owner: dict[IPv4Address, str] = {}
    for name, node in (draft.nodes or {}).items():
        path, address = ("nodes", name, "address"), node.address
        if address is None:
            continue
        if (first := owner.setdefault(address, name)) != name:
            yield path, f"{address} is the address of {first} already; each node needs its own"
        if any(address in net for net in _NOT_UNICAST):
            yield path, f"{address} cannot be a node's address: it is loopback, multicast or reserved"
        if draft.links_range and address in draft.links_range and not _overlap(draft):
            yield path, f"{address} is in links_range {draft.links_range}, which is for cables only"
        if draft.management and (problem := _management_problem(draft.management, address)):
            yield path, problem


def _management_problem(net: IPv4Network, address: IPv4Address) -> str | None:
    if address not in net:
        return f"{address} is outside virtual.management {net}, where all virtual nodes are"
    bridge = net.network_address + min(1, net.num_addresses - 1)
    taken = {bridge: "bridge", net.network_address: "network", net.broadcast_address: "broadcast"}
    if address in taken:
        return f"{address} is the {taken[address]} address of virtual.management {net}; choose another"
    return None


def _kernels(draft: Draft) -> Iterator[Problem]:
    for name, node in (draft.nodes or {}).items():
        if draft.management is not None and node.kernel == "own":
            hint = "a virtual node runs on this machine's kernel: write `kernel: none`"
            yield ("nodes", name, "kernel"), f"is {quoted(node.kernel)}, but {hint}"


def _ranges(draft: Draft) -> Iterator[Problem]:
    ranges: list[tuple[Path, IPv4Network | None]] = [
        (("links_range",), draft.links_range),
        (("virtual", "management"), draft.management),
    ]
    for path, net in ranges:
        bad = next((bad for bad in _NOT_UNICAST if net and net.overlaps(bad)), None)
        if bad:
            yield path, f"{net} overlaps {bad}, which is loopback, multicast or reserved"
    if _overlap(draft):
        text = f"{draft.links_range} overlaps virtual.management {draft.management}; choose ranges apart"
        yield ("links_range",), text


def _overlap(draft: Draft) -> bool:
    return bool(draft.links_range and draft.management and draft.links_range.overlaps(draft.management))


def _ends(draft: Draft) -> Iterator[Problem]:
    plugged: dict[tuple[str, str], int] = {}
    for index, link in enumerate(draft.links or ()):
        path = ("links", index, "usb4")
        if link.usb4 is None:
            continue
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
    for index, link in enumerate(draft.links or ()):
        if link.usb4 is None or link.number is None or len(link.usb4) != 2:
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
    ids = {name: node.id for name, node in (draft.nodes or {}).items() if node.id is not None}
    for index, link in enumerate(draft.links or ()):
        if draft.links_range is None or link.usb4 is None or link.number is None:
            continue
        if len(link.usb4) != 2 or not link.usb4.keys() <= ids.keys():
            continue
        one, other = sorted(link.usb4)
        if ids[one] == ids[other]:
            continue
        try:
            topology.subnet(draft.links_range, ids[one], ids[other], link.number)
        except topology.RangeTooSmall as small:
            text = f"links_range {draft.links_range} cannot hold the cable between {one} (id {ids[one]}) and "
            text += f"{other} (id {ids[other]}); a /{small.prefix} is enough, or lower ids"
            yield ("links", index), text


RULES = (_names, _ids, _addresses, _kernels, _ranges, _ends, _pairs, _capacity)
