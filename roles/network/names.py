"""Names of the interfaces at the node's ports and of the other ends; what the kernel needs for links."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from inventory.spec import Lab
from roles.lib.paths import File
from roles.network import ports, settings
from roles.network.ports import MODULE, Port

MODULES = "/etc/modules-load.d/halofleet.conf"
PATTERNS = (ports.PATTERN, MODULES, settings.PATH)
"""Whatever of these is not wanted goes."""


@dataclass(frozen=True)
class Names:
    """ports: whose interfaces get their names. module: the one for USB4 is needed. hosts: addresses and names of the
    other ends. links: the node has any. management: where SSH reaches it."""

    ports: tuple[Port, ...]
    module: bool
    hosts: tuple[tuple[IPv4Address, str], ...]
    links: bool
    management: IPv4Address


def plan(lab: Lab, name: str) -> Names:
    return Names(
        ports=ports.ports(lab, name),
        module=ports.needs_module(lab, name),
        hosts=lab.names(name),
        links=bool(lab.ends(name)),
        management=lab.node(name).address,
    )


def files(names: Names) -> tuple[File, ...]:
    """All but /etc/hosts, of which only a block is ours."""
    found = [ports.file(port) for port in names.ports]
    if names.module:
        found.append(File(MODULES, f"# halofleet: the network over USB4.\n{MODULE}\n"))
    if names.links:
        found.append(settings.file())
    return tuple(found)
