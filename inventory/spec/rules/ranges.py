"""Rules about networks: what may overlap (nothing), and what holds what."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from inventory.spec.draft import Draft, LinkDraft
from inventory.spec.errors import Path, Problem
from inventory.spec.topology import addresses

_NOT_UNICAST = tuple(IPv4Network(net) for net in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))
"""This network, loopback, multicast and reserved (RFC 6890)."""

_Range = tuple[Path, str, IPv4Network]
"""Where it stands, what it is, and which."""


def _unicast(draft: Draft) -> Iterator[Problem]:
    for path, _, net in _ranges(draft):
        bad = next((bad for bad in _NOT_UNICAST if net.overlaps(bad)), None)
        if bad:
            yield path, f"{net} overlaps {bad}, which is loopback, multicast or reserved; choose a private range"


def _overlaps(draft: Draft) -> Iterator[Problem]:
    """Networks either contain each other or are apart, so each needs but to be compared with the widest before it."""
    widest: _Range | None = None
    for each in sorted(_ranges(draft), key=lambda each: (each[2], each[1])):
        if widest is not None and widest[2].overlaps(each[2]):
            told, other = sorted((widest, each), key=lambda one: _blame.index(one[1].split("[")[0]))
            if told[1] == "links_range" and draft.default_range:
                text = f"the default, {told[2]}, overlaps {other[1]} {other[2]}; write `links_range:` with another one"
            else:
                default = "the default of " if other[1] == "links_range" and draft.default_range else ""
                text = f"{told[2]} overlaps {default}{other[1]} {other[2]}; choose ranges apart"
            yield told[0], text
        else:
            widest = each


_blame = ("links", "links_range", "management")
"""Who is told: management is what is there already."""


def _ranges(draft: Draft) -> Iterator[_Range]:
    if draft.management is not None:
        yield ("management",), "management", draft.management
    if draft.links_range is not None:
        yield ("links_range",), "links_range", draft.links_range
    for index, link in enumerate(draft.links or ()):
        if link.subnet is not None:
            yield ("links", index, "subnet"), f"links[{index}].subnet", link.subnet


def _bridge(draft: Draft) -> Iterator[Problem]:
    if draft.virtual and draft.management is not None and draft.management.prefixlen > 30:
        text = f"{draft.management} has no address for the virtual lab's bridge besides the nodes'"
        yield ("management",), f"{text}; a /30 or wider has one"


def _capacity(draft: Draft) -> Iterator[Problem]:
    ids = {name: node.id for name, node in (draft.nodes or {}).items() if node.id is not None}
    for index, link in enumerate(draft.links or ()):
        if link.kind == "usb4":
            yield from _cable(draft, ids, index, link)
        elif link.subnet is not None:
            yield from _fabric(ids, index, link.subnet, link)


def _cable(draft: Draft, ids: dict[str, int], index: int, link: LinkDraft) -> Iterator[Problem]:
    net, ends = draft.links_range, sorted(link.ends or ())
    if net is None or link.number is None or len(ends) != 2 or not ids.keys() >= {*ends}:
        return
    one, other = ends
    if ids[one] == ids[other]:
        return
    try:
        addresses.subnet(net, ids[one], ids[other], link.number, highest=max(ids.values()))
    except addresses.RangeTooSmall as small:
        text = f"links_range {net} cannot hold the cable between {one} (id {ids[one]}) and "
        text += f"{other} (id {ids[other]}); a /{small.prefix} is enough, or lower ids"
        yield ("links", index), text


def _fabric(ids: dict[str, int], index: int, net: IPv4Network, link: LinkDraft) -> Iterator[Problem]:
    """One error for the highest id: what holds that one holds them all."""
    highest = max(((ids[name], name) for name in link.ends or () if name in ids), default=None)
    if highest is None:
        return
    number, name = highest
    try:
        addresses.in_fabric(net, number)
    except addresses.RangeTooSmall as small:
        text = f"{net} has no address for {name} (id {number}); a /{small.prefix} is enough, or lower ids"
        yield ("links", index, "subnet"), text


def _loopbacks(draft: Draft) -> Iterator[Problem]:
    """Cables need more than loopback addresses do: `_capacity` is enough where there are any."""
    ids = [(node.id, name) for name, node in (draft.nodes or {}).items() if node.id is not None]
    net = draft.links_range
    if net is None or not ids or any(link.kind == "usb4" for link in draft.links or ()):
        return
    highest, name = max(ids)
    if highest >= net.num_addresses:
        text = f"{net} has no loopback address for {name} (id {highest}); a /{32 - highest.bit_length()} is enough"
        yield ("links_range",), f"{text}, or lower ids"


RULES = (_unicast, _overlaps, _bridge, _capacity, _loopbacks)
