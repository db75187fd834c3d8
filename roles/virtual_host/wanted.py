"""What one instance of a lab should be: the inventory's slice for this role, frozen, with every name in place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from inventory.spec import Lab
from inventory.spec.language.links import Ethernet
from inventory.spec.topology.links import Link
from roles.virtual_host.images import Image, image
from roles.virtual_host.names import Instance

MARK = "halofleet link "


@dataclass(frozen=True)
class End:
    """One end of a veth pair."""

    space: str
    """Whose namespace it is in: a node's, or a fabric's switch's."""
    interface: str

    def __str__(self) -> str:
        return f"{self.space}:{self.interface}"


@dataclass(frozen=True)
class Pair:
    """A veth pair: a cable, or what joins a node to a fabric."""

    ends: tuple[End, End]
    mtu: int

    @property
    def alias(self) -> str:
        """Written on both ends, so that a pair is known for what it is."""
        return f"{MARK}{self.ends[0]} {self.ends[1]}"


@dataclass(frozen=True)
class WantedHost:
    node: str
    id: int
    address: str
    port: int
    """Where its SSH server listens."""
    image: Image

    @property
    def endpoint(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Wanted:
    lab: str
    instance: Instance
    management: IPv4Network
    ranges: tuple[tuple[str, IPv4Network], ...]
    """Everything that the lab has addresses of, with the key of lab.yml that says so."""
    hosts: tuple[WantedHost, ...]
    switches: tuple[str, ...]
    """One for each fabric."""
    pairs: tuple[Pair, ...]

    @property
    def gateway(self) -> str:
        """The bridge's own address: the first of the range."""
        return str(self.management.network_address + 1)

    @property
    def images(self) -> tuple[Image, ...]:
        """Each once."""
        return tuple(dict.fromkeys(host.image for host in self.hosts))


def wanted(lab: Lab, instance: Instance) -> Wanted:
    """The lab as this role sees it. The file must have a `virtual:` section."""
    virtual = lab.spec.virtual
    assert virtual is not None  # noqa: S101  # refused before: refusals.py
    return Wanted(
        lab=lab.name,
        instance=instance,
        management=lab.spec.management,
        ranges=tuple(_ranges(lab)),
        hosts=tuple(
            WantedHost(name, node.id, str(node.address), lab.ssh(name).port, image(node.os, virtual))
            for name, node in lab.nodes.items()
        ),
        switches=tuple(_switch(link) for link in lab.links if link.kind == "ethernet"),
        pairs=tuple(pair for link in lab.links for pair in _pairs(lab, link)),
    )


def _ranges(lab: Lab) -> Iterator[tuple[str, IPv4Network]]:
    yield "management", lab.spec.management
    yield "links_range", lab.spec.links_range
    for index, link in enumerate(lab.spec.links):
        if isinstance(link, Ethernet):
            yield f"links[{index}].subnet", link.subnet


def _pairs(lab: Lab, link: Link) -> Iterator[Pair]:
    ends = [End(end.node, end.interface) for end in link.ends]
    if link.kind == "usb4":
        yield Pair((ends[0], ends[1]), link.mtu)
        return
    for end in ends:
        yield Pair((end, End(_switch(link), f"port{lab.node(end.space).id}")), link.mtu)


def _switch(link: Link) -> str:
    """A fabric has a name of its own, and no node's name has a dot in it."""
    return f"fabric.{link.name}"
