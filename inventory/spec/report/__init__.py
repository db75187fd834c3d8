"""A lab for people to look at: what the file says, and all that follows from it. Pure, and the same for any order in
the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inventory.spec.lab import Lab
from inventory.spec.language.nodes import Memory, Virtual
from inventory.spec.language.sources import GitSource
from inventory.spec.report.drawing import draw
from inventory.spec.report.serves import serves
from inventory.spec.report.text import WIDTH, table
from inventory.spec.topology.links import End, Link

MOST_WITH_NAMES = 16
"""Nodes of a lab whose names for /etc/hosts are shown; with more of them nobody reads it."""


LEGEND = " (---- a USB4 cable, ==== an Ethernet fabric)"


def report(lab: Lab) -> str:
    """The whole text, which ends with a line break."""
    sections = {
        f"lab {lab.name}": _lab(lab),
        "nodes": _nodes(lab),
        "links": _links(lab.links),
        f"topology{LEGEND if lab.links else ''}": draw(lab),
        "serves": serves(lab),
        "routes": _routes(lab),
        "names for /etc/hosts": _names(lab) if len(lab.nodes) <= MOST_WITH_NAMES else (),
    }
    found: list[str] = []
    for title, lines in sections.items():
        if body := list(lines):
            found += ["", title, *body]
    return "".join(f"{_printable(line)}\n" for line in found[1:])


def _printable(line: str) -> str:
    """Paths and locations may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in line)


def _lab(lab: Lab) -> Iterator[str]:
    source = lab.spec.llama_cpp.source
    if isinstance(source, GitSource):
        where, what = source.git, f"ref {source.ref}"
    else:
        where, what = source.archive, f"commit {source.commit}"
    virtual = lab.spec.virtual and f"the nodes are virtual hosts on this machine ({_made_of(lab, lab.spec.virtual)})"
    rows = {
        "file": str(lab.path),
        "management": str(lab.spec.management),
        "links_range": str(lab.spec.links_range),
        "virtual": virtual or "",
        "llama.cpp": f"{where}, {what}",
    }
    for key, value in rows.items():
        if value:
            yield f"  {key:<11}  {value}"


def _made_of(lab: Lab, virtual: Virtual) -> str:
    real = {"debian": True, "fedora": virtual.fedora is not None, "ubuntu": virtual.ubuntu is not None}
    systems = sorted({node.os for node in lab.nodes.values() if not real[node.os.split("-", 1)[0]]})
    return ", ".join([virtual.suite, *(f"a stand-in for {os}" for os in systems)])


def _nodes(lab: Lab) -> Iterator[str]:
    rows = []
    for name in _by_id(lab):
        node, loopback = lab.nodes[name], lab.network(name).loopback
        at = f"loopback {loopback}" if loopback else ""
        said = (node.os, node.backend, node.board or "", _memory(node.memory))
        rows.append((name, f"id {node.id}", str(node.address), *said, at))
    return table(2, rows)


def _memory(memory: Memory) -> str:
    gpu = memory.for_models
    parts = [f"{memory.installed}GiB" if memory.installed else "", f"GPU {gpu}GiB" if gpu else ""]
    return ", ".join(part for part in parts if part)


def _links(links: Iterable[Link]) -> Iterator[str]:
    yield from table(2, [_cable(link) for link in links if link.kind == "usb4"], breaks=(3, 7))
    for fabric in links:
        if fabric.kind != "usb4":
            name = "" if fabric.name == fabric.kind else f" {fabric.name}"
            yield f"  {fabric.kind}{name}  {fabric.subnet}  mtu {fabric.mtu}"
            yield from table(4, [_end(end) for end in fabric.ends])


def _cable(link: Link) -> tuple[str, ...]:
    one, other = link.ends
    return link.name, str(link.subnet), f"mtu {link.mtu}", *_end(one), "--", *_end(other)


def _end(end: End) -> tuple[str, str, str]:
    port = f" ({end.port})" if end.port is not None and end.named else ""
    return end.node, f"{end.interface}{port}", str(end.address.ip)


def _routes(lab: Lab) -> Iterator[str]:
    owners = {address: name for name, address in lab.loopbacks.items()}
    rows = []
    for name in _by_id(lab):
        network = lab.network(name)
        for route in network.routes:
            to = f"to {owners[route.destination]} {route.destination}"
            rows.append((name, to, f"via {route.via} on {route.interface}"))
        for passage in network.passages:
            between = f"passes on {owners[passage.source]} to {owners[passage.destination]}"
            rows.append((name, between, f"from {passage.into} to {passage.out}"))
    return table(2, rows)


def _names(lab: Lab) -> Iterator[str]:
    width = max(map(len, lab.nodes))
    for node in _by_id(lab):
        line, names = f"  {node:<{width}} ", [name for _, name in lab.names(node)]
        for number, name in enumerate(names):
            more = f" and {len(names) - number} more"
            if len(line) + 1 + len(name) + (len(more) if name != names[-1] else 0) > WIDTH:
                line += more
                break
            line += f" {name}"
        if names:
            yield line


def _by_id(lab: Lab) -> list[str]:
    return sorted(lab.nodes, key=lambda name: lab.nodes[name].id)
