"""What the machine has of one instance now. Reads only; one command for the whole role."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api import FactBase, FactProcessError, QuoteString, StringCommand

Digest = tuple[str, str]
"""Mode (octal) and SHA-256 of a file."""


@dataclass(frozen=True)
class Link:
    """A network interface."""

    name: str
    index: int
    peer: int
    """The index of a veth's other end, in that end's namespace; 0: not a veth."""
    up: bool
    mtu: int
    alias: str
    master: str
    addresses: tuple[str, ...]
    """IPv4, with the prefix length."""


@dataclass(frozen=True)
class Route:
    range: str
    """An address or a network."""
    device: str


@dataclass(frozen=True)
class Disk:
    path: str
    device: int
    free: int
    """Bytes."""


@dataclass(frozen=True)
class Host:
    """A virtual host: what runs of it, and what its folder holds."""

    supervisors: tuple[int, ...] = ()
    nspawns: tuple[int, ...] = ()
    made: bool = False
    run: str = ""
    """run.json."""
    seed: Mapping[str, Digest] = field(default_factory=dict)
    in_namespace: bool = False
    """Its PID 1 is in the namespace that has the host's name."""
    system: str = ""
    """systemctl is-system-running."""


@dataclass(frozen=True)
class Seen:
    package_tool: str
    missing: tuple[str, ...]
    """Commands that the role needs and the machine does not have."""
    systemd: bool
    """This machine's PID 1 is systemd."""
    state: bool
    images: tuple[str, ...]
    """In the cache, by name."""
    bases: tuple[str, ...]
    """The unpacked base trees, by their images' names."""
    lab: str
    """The lab that this instance runs."""
    state_disk: Disk
    image_disk: Disk
    netns_mounted: bool
    resolver: str
    links: Mapping[str, Link]
    routes: tuple[Route, ...]
    table: str
    dropping: tuple[str, ...]
    forwarding: bool
    forwarding_mine: bool
    spaces: Mapping[str, Mapping[str, Link]]
    """Network namespaces by node or switch, and their links; one without links (not even lo) is a torn one."""
    hosts: Mapping[str, Host]
    groups: tuple[str, ...]
    greets: tuple[str, ...]
    workers: tuple[int, ...]
    """Processes that an earlier run started and left."""


class LabState(FactBase[Seen]):
    """Everything the role decides by."""

    def command(self, state: str, full: str, images: str, addresses: tuple[str, ...] = ()) -> StringCommand:
        probe = str(Path(__file__).parent / "machine" / "probe.py")
        words = (sys.executable, "-BEs", probe, state, full, images, *addresses)
        return StringCommand(*(QuoteString(word) for word in words))

    def process(self, output: list[str]) -> Seen:
        try:
            return seen(json.loads("\n".join(output)))
        except (ValueError, KeyError, TypeError) as error:
            raise FactProcessError(
                f"roles/virtual_host/probe.py answered what facts.py cannot read: {error}"
            ) from error


def seen(raw: dict[str, Any]) -> Seen:
    plain = [
        *("package_tool", "systemd", "state", "lab", "netns_mounted"),
        *("resolver", "table", "forwarding", "forwarding_mine"),
    ]
    listed = ("missing", "images", "bases", "dropping", "groups", "greets", "workers")
    flat: dict[str, Any] = {key: raw[key] for key in plain} | {key: tuple(raw[key]) for key in listed}
    return Seen(
        **flat,
        state_disk=Disk(*raw["state_disk"]),
        image_disk=Disk(*raw["image_disk"]),
        links=_links(raw["interfaces"]),
        routes=tuple(
            Route(route["dst"], route.get("dev", ""))
            for route in raw["routes"]
            if route["dst"] not in ("default", "0.0.0.0/0")
        ),
        spaces={node: _links(links) for node, links in raw["spaces"].items()},
        hosts={node: _host(host) for node, host in raw["hosts"].items()},
    )


def _links(raw: list[dict[str, Any]]) -> dict[str, Link]:
    return {
        link["ifname"]: Link(
            name=link["ifname"],
            index=link["ifindex"],
            peer=link.get("link_index", 0),
            up="UP" in link["flags"],
            mtu=link["mtu"],
            alias=link.get("ifalias", ""),
            master=link.get("master", ""),
            addresses=tuple(
                f"{address['local']}/{address['prefixlen']}"
                for address in link["addr_info"]
                if address.get("family") == "inet"
            ),
        )
        for link in raw
        if "ifname" in link  # ip prints an empty object for what it filters out
    }


def _host(raw: dict[str, Any]) -> Host:
    return Host(
        supervisors=tuple(raw["supervisors"]),
        nspawns=tuple(raw["nspawns"]),
        made=raw["made"],
        run=raw["run"],
        seed={path: (mode, digest) for path, (mode, digest) in raw["seed"].items()},
        in_namespace=raw["in_namespace"],
        system=raw["system"],
    )
