"""The names of one instance of a lab: every bridge, table, namespace, directory and process is called by it.

An instance is one lab booted from one checkout. Two of them on one machine never meet, because every name
contains the instance (or its digest, where 15 characters must do). Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VALID = re.compile(r"^[a-z0-9][a-z0-9-]{0,40}$")


def instance_name(environment: Mapping[str, str], checkout: Path) -> str:
    """`$HALOFLEET_LAB`, or a name that only this checkout has."""
    if given := environment.get("HALOFLEET_LAB"):
        if not VALID.match(given):
            raise ValueError(f"HALOFLEET_LAB is {given!r}; it must be 1 to 41 of a-z, 0-9 and -, and not begin with -")
        return given
    word = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:30].strip("-") or "lab"
    return f"{word}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Instance:
    """Names only; nothing here looks at the machine. The dot cannot be part of an instance's or a node's name."""

    name: str
    home: Path
    """$HALOFLEET_HOME."""
    checkout: Path

    @property
    def tag(self) -> str:
        """What interface names have room for. The home is in it: the same HALOFLEET_LAB twice is two instances."""
        return hashlib.sha256(f"{self.name}\0{self.home}".encode()).hexdigest()[:8]

    @property
    def full(self) -> str:
        """The nftables table, the top control group, the head of namespaces and units."""
        return f"halofleet.{self.name}.{self.tag}"

    @property
    def bridge(self) -> str:
        return f"hf{self.tag}-br"

    @property
    def interfaces(self) -> str:
        """What all our interfaces on the machine's side begin with."""
        return f"hf{self.tag}-"

    def veth(self, node_id: int) -> str:
        """The machine's end of a node's host0."""
        return f"{self.interfaces}{node_id}"

    def netns(self, node: str) -> str:
        return f"{self.full}.{node}"

    def unit(self, node: str) -> str:
        return f"{self.full}.{node}.service"

    def machine(self, node: str) -> str:
        """nspawn's machine name: at most 64 characters, and unique, because nspawn makes /run directories of it."""
        return f"hf{self.tag}-{node}"

    def cgroup(self, node: str) -> str:
        """Relative to a hierarchy's root; used where no systemd hands out control groups."""
        return f"{self.full}/{node}"

    @property
    def state(self) -> Path:
        return self.home / "virtual" / self.name

    @property
    def lock(self) -> Path:
        return self.home / "virtual" / f"{self.name}.lock"

    @property
    def bases(self) -> Path:
        """The trees below the hosts' overlays."""
        return self.state / "bases"

    def host_dir(self, node: str) -> Path:
        return self.state / "hosts" / node

    def log(self, node: str) -> Path:
        return self.host_dir(node) / "console.log"

    @property
    def alias(self) -> str:
        """The bridge's ifalias: whoever finds the range taken reads here by whom."""
        return f"halofleet {self.name} of {self.checkout}"[:255]
