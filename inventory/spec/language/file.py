"""The language of lab.yml: typed, strict, frozen.

What a field alone can tell is checked here, with the kinds of value in `fields.py`; what needs two fields is in
`rules/`; what follows from the file (subnets, addresses) is computed in `topology/`. docs/inventory.md is made from it.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import Field

from inventory.spec.language.base import Spec
from inventory.spec.language.fields import Name, Network
from inventory.spec.language.links import Link
from inventory.spec.language.nodes import Group, Node, Traits, Virtual
from inventory.spec.language.serves import Firewall, Serve
from inventory.spec.language.sources import LlamaCpp, Model, Rocm


class LabFile(Spec):
    """The whole file."""

    management: Annotated[Network, Field(examples=["192.168.1.0/24"])]
    """The network in which every node's address lies and SSH answers. It is there already, and is not changed. A
    virtual lab makes its own: a bridge on this machine, which has the network's first address."""
    virtual: Annotated[Virtual | None, Field(examples=[{}])] = None
    """The nodes are hosts that `make lab` boots on this machine. Left out: they are boxes."""
    links_range: Annotated[Network, Field(examples=["10.64.0.0/14"])] = IPv4Network("10.44.0.0/16")
    """Every cable gets a /31 from its bottom, every node a loopback address from its top, so nobody numbers cables. It
    overlaps no other network. A /16 holds every cable between ids up to 181, a /15 between all 254."""
    defaults: Annotated[Traits, Field(examples=[{"os": "fedora-43", "backend": "vulkan"}])] = Traits()
    """What is true of every node, unless its group or the node itself says otherwise."""
    groups: Annotated[
        dict[Name, Group],
        Field(
            default_factory=dict,
            json_schema_extra={"default": {}},
            examples=[{"desks": {"board": "framework-desktop"}}],
        ),
    ]
    """Nodes with something in common, by a name of your own. A node says which one it is in. `--limit NAME` limits a
    run to it."""
    nodes: Annotated[dict[Name, Node], Field(min_length=1, examples=[{"halo1": {"id": 1, "address": "192.168.1.11"}}])]
    """The boxes. A node's name becomes its host name: lower-case letters, digits and dashes."""
    links: Annotated[tuple[Link, ...], Field(examples=[[{"usb4": ["halo1", "halo2"]}]])] = ()
    """What the nodes are connected by, besides the management network. Their order means nothing."""
    llama_cpp: Annotated[LlamaCpp, Field(examples=[{"cmake": {"vulkan": ["-DGGML_LTO=ON"]}}])] = LlamaCpp()
    """Which llama.cpp is built, and how."""
    rocm: Annotated[Rocm, Field(examples=[{"version": "10.1"}])] = Rocm()
    """Which ROCm the nodes with the backend `rocm` have, and where it comes from."""
    models: Annotated[dict[Name, Model], Field(examples=[{"kimi": {"directory": "/models/kimi-k2.5"}}])]
    """Where weights come from, by a name of your own."""
    serves: Annotated[
        dict[Name, Serve], Field(min_length=1, examples=[{"chat": {"model": "kimi", "controller": "halo1"}}])
    ]
    """What runs, by a name of your own."""
    firewall: Annotated[Firewall, Field(examples=[{"api": ["192.168.1.0/24"]}])] = Firewall()
    """Who may reach the APIs."""
