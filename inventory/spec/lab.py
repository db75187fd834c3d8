"""A lab as the rest of the program sees it: the checked file and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from inventory.spec import home
from inventory.spec.errors import SpecError
from inventory.spec.language.file import LabFile
from inventory.spec.language.nodes import Node, Ssh
from inventory.spec.topology import addresses
from inventory.spec.topology.links import End, Link
from inventory.spec.topology.network import Network, Routes, link_names
from inventory.spec.topology.ways import Way, Ways


@dataclass(frozen=True)
class Lab:
    """Made by `load`. Its name is the file's, without the ending: two files are two labs.

    nodes: by name, each with what its group and the lab's defaults say of it. warnings: what is legal and unwise.
    """

    name: str
    path: Path
    spec: LabFile
    nodes: Mapping[str, Node]
    links: tuple[Link, ...]
    warnings: tuple[SpecError, ...] = field(default=(), compare=False)

    @property
    def rpc_ports(self) -> tuple[int, ...]:
        """Every port that an RPC server of the lab listens on: closed on every node but to its controller."""
        return tuple(sorted({serve.rpc_port for serve in self.spec.serves.values() if serve.workers}))

    @property
    def api_from(self) -> tuple[IPv4Network, ...]:
        """The networks from which the API may be reached."""
        said = self.spec.firewall.api
        return (self.spec.management,) if said is None else said

    def node(self, name: str) -> Node:
        """KeyError when there is none."""
        return self.nodes[name]

    def backend(self, serve: str, node: str) -> str:
        """What the node computes by for the serve."""
        return self.spec.serves[serve].backend or self.nodes[node].backend

    def backends(self, node: str) -> tuple[str, ...]:
        """All that the node needs: for its serves; its own where it has none."""
        serves = self.spec.serves.items()
        found = {self.backend(name, node) for name, serve in serves if node in (serve.controller, *serve.workers)}
        return tuple(sorted(found or {self.nodes[node].backend}))

    def ssh(self, name: str) -> Ssh:
        """How to log in there. Virtual hosts accept a key of the lab's own."""
        ssh = self.nodes[name].ssh
        if ssh.key is None and self.spec.virtual is not None:
            ssh = ssh.model_copy(update={"key": home.virtual_key(self.name)})
        return ssh

    def ends(self, node: str) -> tuple[End, ...]:
        """The node's own ends of all its links, cables first."""
        return tuple(end for _, end in self._graph.ends(node))

    def way(self, controller: str, worker: str) -> Way | None:
        """How the controller reaches the worker; None where it cannot."""
        return self._graph.way(controller, worker)

    def ways(self, serve: str) -> tuple[Way, ...]:
        """From the serve's controller to each of its workers, in their order."""
        return self._ways[serve]

    def way_to(self, worker: str) -> Way | None:
        """From the node's controller to it; None where it is nobody's worker."""
        return self._way_to.get(worker)

    def network(self, node: str) -> Network:
        """What the node's network must have."""
        ends, routes = self._graph.ends(node), self._routes
        return Network(ends, routes.loopbacks.get(node), routes.routes(node), routes.passages(node))

    def names(self, node: str) -> tuple[tuple[IPv4Address, str], ...]:
        """What the node calls the others, for its /etc/hosts: `halo2-usb4`, `halo3-ethernet`, `halo3-routed`."""
        return (*link_names(node, self._graph.ends(node)), *self._routes.names(node))

    def to_json(self) -> dict[str, Any]:
        """What pyinfra's `debug-inventory --json` prints. The file holds no secrets, so neither does this."""
        return {
            "name": self.name,
            "path": str(self.path),
            "spec": self.spec.model_dump(mode="json"),
            "links": [_link_json(link) for link in self.links],
        }

    def warned(self, warnings: Iterable[SpecError]) -> Lab:
        """The same lab with these warnings. What they were found by, the ways above all, is not computed again."""
        lab = copy(self)  # unlike dataclasses.replace, with what is cached
        object.__setattr__(lab, "warnings", tuple(warnings))
        return lab

    @cached_property
    def loopbacks(self) -> dict[str, IPv4Address]:
        """The loopback address of every node, whether it is in use or not."""
        return {name: addresses.loopback(self.spec.links_range, node.id) for name, node in self.nodes.items()}

    @cached_property
    def _graph(self) -> Ways:
        return Ways(self.links, self.loopbacks)

    @cached_property
    def _ways(self) -> dict[str, tuple[Way, ...]]:
        found = {}
        for name, serve in self.spec.serves.items():
            ways = [self.way(serve.controller, worker) for worker in serve.workers]
            found[name] = tuple(way for way in ways if way is not None)  # `rules` refuses a serve that lacks one
        return found

    @cached_property
    def _way_to(self) -> dict[str, Way]:
        return {way.into.node: way for ways in self._ways.values() for way in ways}

    @cached_property
    def _routes(self) -> Routes:
        return Routes(way for ways in self._ways.values() for way in ways)


def _link_json(link: Link) -> dict[str, Any]:
    ends = [{"node": end.node, "interface": end.interface, "address": str(end.address)} for end in link.ends]
    return {"kind": link.kind, "name": link.name, "subnet": str(link.subnet), "mtu": link.mtu, "ends": ends}
