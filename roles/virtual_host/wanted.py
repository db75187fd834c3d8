"""What one instance of a lab should be: the inventory's slice for this role, frozen, with every name in place. Pure."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from inventory.spec.models import LabFile
from roles.virtual_host.names import Instance

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "iputils-ping", "ca-certificates",
    "curl", "procps", "udev", "kmod",
)  # fmt: skip
"""Inside every host: what Debian's own installer leaves, as far as a container needs it."""

IMAGE_FORMAT = 1
"""Raise it when build_image.sh makes a different image of the same packages."""


@dataclass(frozen=True)
class End:
    """One end of a cable."""

    node: str
    interface: str


@dataclass(frozen=True)
class Cable:
    a: End
    b: End

    @property
    def alias(self) -> str:
        """Written on both ends, so that a cable is known for what it is."""
        return f"halofleet link {self.a.node}:{self.a.interface} {self.b.node}:{self.b.interface}"


@dataclass(frozen=True)
class WantedHost:
    node: str
    id: int
    address: str
    port: int
    """Where its SSH server listens."""

    @property
    def endpoint(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Wanted:
    lab: str
    instance: Instance
    suite: str
    mirror: str | None
    management: IPv4Network
    links_range: IPv4Network
    hosts: tuple[WantedHost, ...]
    cables: tuple[Cable, ...]

    @property
    def gateway(self) -> str:
        """The bridge's own address: the first of the range."""
        return str(self.management.network_address + 1)

    @property
    def image_digest(self) -> str:
        words = (str(IMAGE_FORMAT), self.suite, self.mirror or "", platform.machine(), *PACKAGES)
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]

    def image(self, images: Path) -> Path:
        return images / f"{self.suite}-{self.image_digest}.tar"


def wanted(lab: str, spec: LabFile, instance: Instance) -> Wanted:
    """The lab as this role sees it. The file must have a `virtual:` section."""
    assert spec.virtual is not None  # noqa: S101  # refused before: refusals.py
    return Wanted(
        lab=lab,
        instance=instance,
        suite=spec.virtual.suite,
        mirror=spec.virtual.mirror,
        management=spec.virtual.management,
        links_range=spec.links_range,
        hosts=tuple(
            WantedHost(name, node.id, str(node.address), (node.ssh or spec.ssh).port)
            for name, node in spec.nodes.items()
        ),
        cables=tuple(Cable(*(End(node, name) for node, name in link.usb4.items())) for link in spec.links),
    )
