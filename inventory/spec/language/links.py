"""Links: USB4 cables between two nodes, and Ethernet fabrics between any number of them.

An end may be written in three ways, from short to long: the node's name alone, the name and the port that is used, or
a mapping of it. All of them are read as the last one.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Tag, WithJsonSchema

from inventory.spec.errors import show
from inventory.spec.language.base import Spec
from inventory.spec.language.fields import (
    EthernetMtu,
    Interface,
    LinkPort,
    Name,
    Network,
    Usb4Mtu,
    rule,
    tag,
    tagged,
    together,
)
from inventory.spec.language.patterns import INTERFACE, LINK_PORT, NAME


class End(Spec):
    """A node's end of a link."""

    port: Annotated[LinkPort | None, Field(examples=["enp97s0", "pci-0000:c8:00.5", "aa:bb:cc:dd:ee:ff"])] = None
    """The interface by its name (`enp97s0`), its PCI path (`pci-0000:c8:00.5`) or its MAC address. Left out or not a
    name: the interface is called after the link."""
    mtu: Annotated[int | None, Field(examples=[1500])] = None
    """Only there to be compared: all ends of a link have the link's."""


def _ends(value: Any) -> Any:
    """Either way to write the ends as a mapping of what stands at each."""
    if isinstance(value, list):
        for index, name in enumerate(value):
            if not isinstance(name, str):
                raise together(f"entry {index + 1} of the list is {show(name)}, which is not text")
            if name in value[:index]:
                raise together(f"{name} stands twice; a link joins different nodes")
        return {name: {} for name in value}
    if isinstance(value, dict):
        return value
    raise rule("must name its nodes, as [halo1, halo2] or {halo1: PORT, halo2: PORT}")


def _end(value: Any) -> Any:
    """An end as a mapping: of its port, where that alone stands there."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str | None):
        raise rule("must be a port, or a mapping of port and mtu")
    return {} if value is None else {"port": value}


_END = {
    "type": "object",
    "properties": {"port": {"type": "string", "pattern": LINK_PORT}, "mtu": {"type": "integer"}},
    "additionalProperties": False,
}
_ENDS = {
    "anyOf": [
        {"type": "array", "items": {"type": "string", "pattern": NAME}},
        {
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {"anyOf": [{"type": "string", "pattern": LINK_PORT}, {"type": "null"}, _END]},
        },
    ]
}
Ends = Annotated[dict[Name, Annotated[End, BeforeValidator(_end)]], BeforeValidator(_ends), WithJsonSchema(_ENDS)]


class Usb4(Spec):
    """A USB4 cable between two nodes: `usb4: [halo1, halo2]`."""

    usb4: Annotated[
        Ends, Field(examples=[["halo1", "halo2"], {"halo1": "pci-0000:c8:00.5", "halo2": "pci-0000:c8:00.6"}])
    ]
    """The two nodes, where need be each with the port that the cable is in. A box with two cables must say it: which of
    them comes up first is chance."""
    number: Annotated[int, Field(ge=0, le=1, examples=[1])] = 0
    """Which of the two cables that these nodes may have. The cable's subnet follows from it, so that adding the
    second cable, or moving lines in the file, never renumbers the first."""
    mtu: Annotated[Usb4Mtu, Field(examples=[9000])] = 1500
    """Bytes. thunderbolt_net's own default; 9000 and 65520 are in use too, and no comparison has been published."""


class Ethernet(Spec):
    """An Ethernet fabric: one switch (or a direct cable) of its own between two or more nodes."""

    ethernet: Annotated[Ends, Field(examples=[{"halo1": "enp97s0", "halo2": "enp97s0"}])]
    """The nodes, each with the port that it has in the fabric. A real box must say it; a virtual one gets it made."""
    subnet: Annotated[Network, Field(examples=["10.45.0.0/24"])]
    """A node's address is the subnet's first one plus the node's id. It overlaps no other network."""
    name: Annotated[Interface, Field(pattern=INTERFACE, examples=["lan10g"])] = "ethernet"
    """For people, /etc/hosts (`halo2-ethernet`) and interfaces that are not named by their port."""
    mtu: Annotated[EthernetMtu, Field(examples=[9000])] = 1500
    """Bytes. More than 1500 needs a switch that passes it."""


Link = Annotated[
    Annotated[Usb4, Tag(tag("usb4"))] | Annotated[Ethernet, Tag(tag("ethernet"))],
    tagged("usb4", "ethernet"),
]
