"""What is legal and unwise: warnings, each with its reason. They stop nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from inventory.spec.errors import Path, Problem
from inventory.spec.lab import Lab
from inventory.spec.language.links import Ethernet, Usb4
from inventory.spec.language.sources import GitSource
from inventory.spec.llama_cpp import known_bad

MOST_OF_RAM = 0.9
"""amd-ttm warns above it."""

UNSTABLE = re.compile(r"thunderbolt[0-9]+")
"""The kernel's own names, in the order in which the peers came up."""

_BRANCHES = ("HEAD", "main", "master", "develop")
_PRIVATE = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
"""RFC 1918, and the carriers' range that VPNs use (RFC 6598)."""


def advise(lab: Lab) -> Iterator[Problem]:
    """Every warning, as the rules' problems are."""
    for check in CHECKS:
        yield from check(lab)


def _idle(lab: Lab) -> Iterator[Problem]:
    serves = lab.spec.serves.values()
    used = {serve.controller for serve in serves}.union(*(serve.workers for serve in serves))
    used |= {node for name in lab.spec.serves for way in lab.ways(name) for node in way.via}
    for name in lab.nodes:
        if name not in used:
            yield ("nodes", name), "is in no serve, so it does nothing"
    for name in lab.spec.models.keys() - {serve.model for serve in serves}:
        yield ("models", name), "no serve has it, so it is put nowhere"
    groups = {node.group for node in lab.nodes.values()}
    for name in lab.spec.groups.keys() - groups:
        yield ("groups", name), "no node is in it"


def _far(lab: Lab) -> Iterator[Problem]:
    for name, serve in lab.spec.serves.items():
        for index, way in enumerate(lab.ways(name)):
            if way.via:
                via, worker = _middle(way.via), serve.workers[index]
                text = f"{worker} is reached through {via}: every token crosses {len(way.hops)} links, and both stop "
                yield ("serves", name, "workers", index), f"{text}with {via}; a cable of their own is better"


def _middle(nodes: Sequence[str]) -> str:
    return ", ".join(nodes) if len(nodes) <= 3 else f"{nodes[0]}, {nodes[1]} ... {nodes[-1]}"


def _shared_memory(lab: Lab) -> Iterator[Problem]:
    busy: dict[str, str] = {}
    for name, serve in lab.spec.serves.items():
        for node, path in ((serve.controller, ("serves", name, "controller")), *_worker_paths(lab, name)):
            if (first := busy.setdefault(node, name)) != name:
                yield path, f"{node} computes for serve {first} too: both models share its memory"


def _worker_paths(lab: Lab, serve: str) -> Iterator[tuple[str, Path]]:
    for index, worker in enumerate(lab.spec.serves[serve].workers):
        yield worker, ("serves", serve, "workers", index)


def _backends(lab: Lab) -> Iterator[Problem]:
    for name, serve in lab.spec.serves.items():
        backends = {node: lab.backend(name, node) for node in (serve.controller, *serve.workers)}
        if len(set(backends.values())) > 1:
            each = ", ".join(f"{node} {backend}" for node, backend in backends.items())
            yield ("serves", name), f"its nodes compute by different backends ({each}): the slowest sets the pace"


def _second_cables(lab: Lab) -> Iterator[Problem]:
    pairs = Counter(frozenset(link.usb4) for link in lab.spec.links if isinstance(link, Usb4))
    for index, link in enumerate(lab.spec.links):
        if isinstance(link, Usb4) and pairs[frozenset(link.usb4)] > 1 and link.number > 0:
            yield (
                ("links", index),
                "llama.cpp uses the first cable alone: the second adds no speed, and does not take over",
            )


def _interfaces(lab: Lab) -> Iterator[Problem]:
    if lab.spec.virtual is not None:
        return
    for index, link in enumerate(lab.spec.links):
        for node, end in link.usb4.items() if isinstance(link, Usb4) else ():
            if end.port is not None and UNSTABLE.fullmatch(end.port):
                text = f"{end.port} is whichever peer came up first; name the port by its PCI path, "
                yield ("links", index, "usb4", node), f"{text}or leave it out where it is {node}'s only cable"
            elif end.port is not None and ":" in end.port and not end.port.startswith("pci-"):
                text = (
                    f"{end.port} is a MAC address, and those of USB4 interfaces change; name the port by its PCI path"
                )
                yield ("links", index, "usb4", node), text


def _open(lab: Lab) -> Iterator[Problem]:
    for index, net in enumerate(lab.spec.firewall.api or ()):
        if not _is_private(net):
            yield ("firewall", "api", index), f"{net} is not private, and the API speaks plain HTTP: others read along"
    fabrics = [
        (("links", i, "subnet"), link.subnet) for i, link in enumerate(lab.spec.links) if isinstance(link, Ethernet)
    ]
    for path, net in ((("management",), lab.spec.management), (("links_range",), lab.spec.links_range), *fabrics):
        if not _is_private(net):
            yield path, f"{net} is not private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16): it hides hosts elsewhere"
    for name, serve in lab.spec.serves.items():
        if serve.bind == IPv4Address("0.0.0.0"):  # noqa: S104
            yield ("serves", name, "bind"), "0.0.0.0 is every address that the controller has or will have"
        if serve.bind == IPv4Address("127.0.0.1") and lab.spec.firewall.api:
            text = f"127.0.0.1 answers {serve.controller} alone: firewall.api lets nobody else in"
            yield ("serves", name, "bind"), text


def _is_private(net: IPv4Network) -> bool:
    return any(net.subnet_of(private) for private in _PRIVATE)


def _memory(lab: Lab) -> Iterator[Problem]:
    for name, node in lab.nodes.items():
        memory, path = node.memory, ("nodes", name, "memory")
        if memory.installed and memory.gpu and memory.gpu > MOST_OF_RAM * memory.installed:
            most = int(MOST_OF_RAM * memory.installed)
            yield path, f"{memory.gpu}GiB of {memory.installed}GiB for the GPU: above {most}GiB the system runs short"


def _iommu(lab: Lab) -> Iterator[Problem]:
    for name, node in lab.nodes.items():
        cables = any(link.kind == "usb4" for link, _ in lab.network(name).ends)
        if node.iommu == "off" and cables:
            text = "off leaves USB4 without DMA protection: whoever plugs in reads all memory"
            yield ("nodes", name, "iommu"), text


def _moving(lab: Lab) -> Iterator[Problem]:
    source = lab.spec.llama_cpp.source
    if isinstance(source, GitSource) and source.ref in _BRANCHES:
        text = f"{source.ref} is a branch: it moves, and a release is built once; name a tag or a commit"
        yield ("llama_cpp", "source", "ref"), text


def _vulnerable(lab: Lab) -> Iterator[Problem]:
    """Of a lab of real boxes it is an error (rules)."""
    if lab.spec.virtual is not None and (text := known_bad(lab.spec.llama_cpp)):
        yield ("llama_cpp", "source", "ref"), text


CHECKS: tuple[Callable[[Lab], Iterator[Problem]], ...] = (
    *(_idle, _far, _shared_memory, _backends, _second_cables, _interfaces, _open, _memory, _iommu, _moving),
    _vulnerable,
)
