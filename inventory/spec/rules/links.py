"""Rules about cables and fabrics: their ends, their ports, their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from inventory.spec import boards
from inventory.spec.draft import Draft, LinkDraft
from inventory.spec.errors import Problem, did_you_mean, quoted
from inventory.spec.language.links import End
from inventory.spec.language.patterns import INTERFACE_NAME
from inventory.spec.topology.addresses import CABLES_PER_PAIR
from inventory.spec.topology.links import cable_interface, cable_name, interface

_TAKEN = {"lo": "the loopback interface", "host0": "a virtual node's way to its management network"}


def _ends(draft: Draft) -> Iterator[Problem]:
    for index, link in enumerate(draft.links or ()):
        if link.ends is None or link.kind is None:
            continue
        path = ("links", index, link.kind)
        if link.kind == "usb4" and len(link.ends) != 2:
            yield path, f"a cable has two ends, at two nodes; this one has {len(link.ends)}"
        elif len(link.ends) < 2:
            yield path, f"a fabric joins at least two nodes; this one has {len(link.ends)}"
        for node in link.ends:
            if draft.nodes is not None and node not in draft.nodes:
                hint = did_you_mean(node, draft.nodes) or "; add it to nodes"
                yield (*path, node), f"there is no node {quoted(node)}{hint}"


def _pairs(draft: Draft) -> Iterator[Problem]:
    cables: dict[frozenset[str], dict[int, int]] = {}
    for index, link in enumerate(draft.links or ()):
        if link.kind != "usb4" or link.ends is None or link.number is None or len(link.ends) != 2:
            continue
        numbers = cables.setdefault(frozenset(link.ends), {})
        first = numbers.setdefault(link.number, index)
        if first == index:
            continue
        pair = " and ".join(sorted(link.ends))
        if len(numbers) == CABLES_PER_PAIR:
            yield ("links", index), f"{pair} have {CABLES_PER_PAIR} cables already; two nodes have no more"
        else:
            text = f"cable {link.number} between {pair} is links[{first}] already"
            yield ("links", index), f"{text}; give one of them `number: {1 - link.number}`"


def _ports(draft: Draft) -> Iterator[Problem]:
    """A box has as many USB4 ports as its board."""
    plugged: Counter[str] = Counter()
    for index, link in enumerate(draft.links or ()):
        for name in (link.ends or ()) if link.kind == "usb4" else ():
            node = (draft.nodes or {}).get(name)
            if node is None or node.board is None:
                continue
            plugged[name] += 1
            most = boards.usb4_ports(node.board or None)
            if plugged[name] > most:
                what = f"a {node.board}" if node.board else "a box whose board is not named"
                hint = "take one out" if node.board else "take one out, or name its board if it has more"
                text = f"cable {plugged[name]} of {name}, but {what} has {most} USB4 ports; {hint}"
                yield ("links", index, "usb4", name), text


def _interfaces(draft: Draft) -> Iterator[Problem]:
    """Every end has an interface of its own. Two computed names clash only where ids, cables or fabrics do, and then
    the rules about those say so."""
    plugged: dict[tuple[str, str], tuple[int, bool]] = {}
    for index, link in enumerate(draft.links or ()):
        for node, end in (link.ends or {}).items():
            path = ("links", index, str(link.kind), node)
            if end.port in _TAKEN:
                yield path, f"{end.port} is {_TAKEN[end.port]}; name the port of the link"
                continue
            for key, said in ((end.port, True), (_interface(draft, link, node, end), False)):
                if key is None:
                    continue
                first, was_said = plugged.setdefault((node, key), (index, said))
                if first != index and (said or was_said):
                    yield path, f"{key} of {node} is in links[{first}] already; an interface has one link"


def _interface(draft: Draft, link: LinkDraft, node: str, end: End) -> str | None:
    """None where it cannot be told."""
    if link.kind == "ethernet":
        return interface(end, link.name) if link.name is not None else end.port
    peers = [(draft.nodes or {}).get(peer) for peer in link.ends or () if peer != node]
    peer = peers[0].id if len(peers) == 1 and peers[0] is not None else None
    if peer is None or link.number is None:
        return end.port if end.port and INTERFACE_NAME.fullmatch(end.port) else None
    return interface(end, cable_interface(peer, link.number))


def _said(draft: Draft) -> Iterator[Problem]:
    """Real boxes have several ports of a kind; virtual ones have what they are given."""
    cables = Counter(node for link in draft.links or () if link.kind == "usb4" for node in (link.ends or ()))
    told = set()
    for index, link in enumerate(draft.links or ()):
        for node, end in (link.ends or {}).items():
            path = ("links", index, str(link.kind), node)
            if draft.virtual and end.port is not None and not INTERFACE_NAME.fullmatch(end.port):
                yield path, f"{quoted(end.port)}: a virtual node has no PCI path and no fixed MAC address; leave it out"
            elif draft.virtual or end.port is not None:
                continue
            elif link.kind == "ethernet":
                yield path, f"which of its Ethernet ports? Write {{{node}: enp97s0}}; `ip link` on {node} names them"
            elif cables[node] > 1 and node not in told:
                told.add(node)
                text = f"{node} has {cables[node]} cables, so say which port each is in: {{{node}: pci-0000:c8:00.5}}"
                yield path, f"{text}; `udevadm info /sys/class/net/thunderbolt0` shows it as ID_PATH"


def _fabrics(draft: Draft) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for index, link in enumerate(draft.links or ()):
        if link.kind != "ethernet" or link.name is None:
            continue
        if (first := names.setdefault(link.name, index)) != index:
            text = f"{quoted(link.name)} is the name of links[{first}] already; give each fabric its own"
            yield ("links", index, "name"), text
        elif link.name.startswith("usb4") or link.name == "routed":
            yield ("links", index, "name"), f"{quoted(link.name)} is halofleet's own word; choose another"
        elif link.name in _TAKEN:
            yield ("links", index, "name"), f"{quoted(link.name)} is {_TAKEN[link.name]}; choose another"


def _hosts(draft: Draft) -> Iterator[Problem]:
    """What /etc/hosts calls a node on a link, such as `halo2-usb4`, means nothing else."""
    meant = {f"{node}-routed": (node, "routed") for node in draft.nodes or {}}
    for index, link in enumerate(draft.links or ()):
        name = link.name if link.kind == "ethernet" else cable_name(link.number or 0)
        for node in link.ends or () if name is not None else ():
            word = f"{node}-{name}"
            if (first := meant.setdefault(word, (node, str(name)))) != (node, name):
                text = f"{quoted(word)} would be {node} here and {first[0]} on {first[1]}; choose another name"
                yield ("links", index, "name"), text
    for node in draft.nodes or {}:
        if node in meant:
            other, name = meant[node]
            yield ("nodes", node), f"{quoted(node)} is what /etc/hosts calls {other} on {name}; name the node otherwise"


def _mtus(draft: Draft) -> Iterator[Problem]:
    for index, link in enumerate(draft.links or ()):
        for node, end in (link.ends or {}).items():
            if end.mtu is not None and link.mtu is not None and end.mtu != link.mtu:
                text = f"{end.mtu} differs from links[{index}].mtu {link.mtu}; all ends of a link have that one"
                yield ("links", index, str(link.kind), node, "mtu"), text


RULES = (_ends, _pairs, _ports, _interfaces, _said, _fabrics, _hosts, _mtus)
