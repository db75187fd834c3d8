"""A lab as the rest of the program sees it: the checked file and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from inventory.spec import home, topology
from inventory.spec.models import LabFile, Node, Ssh
from inventory.spec.topology import Cable, LinkEnd


@dataclass(frozen=True)
class Lab:
    """Made by `load`. Its name is the file's, without the ending: two files are two labs."""

    name: str
    path: Path
    spec: LabFile
    cables: tuple[Cable, ...]

    @property
    def rpc_ports(self) -> tuple[int, ...]:
        """Every port that an RPC server of the lab listens on: closed on every node but to its controller."""
        return tuple(sorted({serve.rpc_port for serve in self.spec.serves.values() if serve.workers}))

    def node(self, name: str) -> Node:
        """KeyError when there is none."""
        return self.spec.nodes[name]

    def ends(self, node_name: str) -> tuple[LinkEnd, ...]:
        """The node's own ends of all its cables, in the order of `cables`."""
        return self._ends.get(node_name, ())

    def link_end(self, node: str, peer: str) -> LinkEnd | None:
        """The node's own end of the cable to the peer (of the first one, if there are two)."""
        return next((end for end in self.ends(node) if end.peer == peer), None)

    def link_address(self, controller: str, worker: str) -> IPv4Address:
        """The worker's address on its cable to the controller. KeyError when they have none."""
        end = self.link_end(worker, controller)
        if end is None:
            raise KeyError(f"no cable between {controller} and {worker}")
        return end.address.ip

    def ssh(self, node_name: str) -> Ssh:
        """How to log in there: the lab's way, with what the node says otherwise."""
        ssh, own = self.spec.ssh, self.node(node_name).ssh
        if own is not None:
            ssh = ssh.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
        if ssh.key is None and self.spec.virtual is not None:
            ssh = ssh.model_copy(update={"key": home.virtual_key(self.name)})
        return ssh

    def to_json(self) -> dict[str, Any]:
        """What pyinfra's `debug-inventory --json` prints. The file holds no secrets, so neither does this."""
        return {
            "name": self.name,
            "path": str(self.path),
            "spec": self.spec.model_dump(mode="json"),
            "cables": [_cable_json(cable) for cable in self.cables],
        }

    @cached_property
    def _ends(self) -> dict[str, tuple[LinkEnd, ...]]:
        ends: dict[str, tuple[LinkEnd, ...]] = {}
        for cable in self.cables:
            for end in cable.ends:
                ends[end.node] = (*ends.get(end.node, ()), end)
        return ends


def build(path: Path, spec: LabFile) -> Lab:
    """The lab of a file that has passed `rules`."""
    ids = {name: node.id for name, node in spec.nodes.items()}
    return Lab(path.stem, path, spec, topology.cables(spec.links_range, ids, spec.links))


def _cable_json(cable: Cable) -> dict[str, Any]:
    ends = [{"node": end.node, "interface": end.interface, "address": str(end.address)} for end in cable.ends]
    return {"number": cable.number, "subnet": str(cable.subnet), "ends": ends}
