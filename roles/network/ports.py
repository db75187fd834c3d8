"""Ends of links whose interface has to be given its name: which port is meant, and which interface of the host that is.

A USB4 interface exists only while the peer is up, under a name and a MAC address that differ from one time to the next;
the PCI path of its port stays (systemd.link(5), udev's ID_PATH).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from inventory.spec import Lab
from inventory.spec.topology.links import End, Link
from roles.lib.paths import File
from roles.lib.render import render

FOLDER = "/etc/systemd/network"
LINK_FILE = FOLDER + "/05-halofleet-{interface}.link"
PATTERN = LINK_FILE.format(interface="*")
DRIVER = "thunderbolt-net"
"""Of USB4 interfaces: theirs, and no name such as `tb*`, tells them apart (dellathefella's guide went wrong there)."""
MODULE = "thunderbolt_net"
KERNELS_NAME = re.compile("thunderbolt[0-9]+")


@dataclass(frozen=True)
class Port:
    """The interface that is to be called `interface`. said: the port as lab.yml has it; empty where it is left out.
    peer: the node at the other end of a USB4 cable; empty for Ethernet."""

    interface: str
    said: str
    purpose: str
    peer: str = ""

    @property
    def by_path(self) -> bool:
        return self.said.startswith("pci-")

    @property
    def match(self) -> tuple[str, ...]:
        """The lines of [Match]. No globs: `pci-0000:c8:00.*` would take whichever cable is plugged in first."""
        driver = (f"Driver={DRIVER}",) if self.peer else ()
        if not self.said:
            return driver
        # Permanent: bridges and VLANs have the current address of the interface that they are made of.
        return (f"Path={self.said}" if self.by_path else f"PermanentMACAddress={self.said}", *driver)

    @property
    def where(self) -> str:
        """For people."""
        return self.said or "any USB4 port"


@dataclass(frozen=True)
class Seen:
    """An interface that has hardware behind it. mac: the permanent one. file: the .link file that udev has applied.
    peer: what the box at the other end of a USB4 cable calls itself."""

    name: str
    path: str = ""
    driver: str = ""
    mac: str = ""
    file: str = ""
    peer: str = ""

    @property
    def usb4(self) -> bool:
        return self.driver == DRIVER

    @property
    def ours(self) -> bool:
        """Its name came from a file of ours."""
        return "/05-halofleet-" in self.file

    @property
    def where(self) -> str:
        return f"{self.name} at {self.path or 'no PCI path'}"


def ports(lab: Lab, name: str) -> tuple[Port, ...]:
    """Of a real box: virtual hosts are made with their interfaces' names."""
    ends = lab.network(name).ends if lab.spec.virtual is None else ()
    return tuple(_port(link, end) for link, end in ends if end.named)


def _port(link: Link, end: End) -> Port:
    peer = next(other.node for other in link.ends if other.node != end.node) if link.kind == "usb4" else ""
    return Port(end.interface, end.port or "", purpose(link, end.node), peer)


def purpose(link: Link, node: str) -> str:
    if link.kind == "ethernet":
        return f"the fabric {link.name}"
    return f"the cable to {next(end.node for end in link.ends if end.node != node)}"


def needs_module(lab: Lab, name: str) -> bool:
    """The node has a kernel of its own, and a USB4 interface that we name or that has the kernel's name. One with
    another name is its owner's to make, and may be of another kind (the Vagrantfile's are)."""
    if lab.node(name).kernel != "own" or lab.spec.virtual is not None:
        return False
    cables = [end for link, end in lab.network(name).ends if link.kind == "usb4"]
    return any(end.named or KERNELS_NAME.fullmatch(end.interface) for end in cables)


def file(port: Port) -> File:
    text = render("network/interface.link.j2", port=port)
    return File(LINK_FILE.format(interface=port.interface), text)


def meant(port: Port, seen: Iterable[Seen]) -> list[Seen]:
    """Pure: the interfaces that the port's .link file matches; more than one where lab.yml does not say enough."""
    found = [one for one in seen if one.usb4] if port.peer else list(seen)
    if not port.said:
        return found
    return [one for one in found if port.said == (one.path if port.by_path else one.mac)]


LOOK = (
    "if [ -S /run/udev/control ]; then echo udev runs; fi; "
    'for d in /sys/class/net/*/device; do [ -e "$d" ] || continue; d=${d%/device}; n=${d##*/}; echo "port $n name $n"; '
    'udevadm info --query=property --path="$d" 2>/dev/null | sed -n "s/^ID_PATH=/port $n path /p; '
    's/^ID_NET_DRIVER=/port $n driver /p; s/^ID_NET_LINK_FILE=/port $n file /p"; '
    # iproute2 shows the permanent address only where it is not the current one
    'ip -o link show dev "$n" | sed -nE "s/.* permaddr ([0-9a-f:]{17}).*/port $n mac \\1/p; t; '
    's,.* link/ether ([0-9a-f:]{17}) .*,port $n mac \\1,p"; '
    # the peer's host name, as its kernel tells it (Linux, drivers/thunderbolt/xdomain.c)
    'f="$d/device/../device_name"; if [ -r "$f" ]; then echo "port $n peer $(cut -d. -f1 "$f")"; fi; done; '
)
"""Shell: lines `port NAME KEY VALUE`, and `udev runs`."""


def parse(output: Iterable[str]) -> tuple[Seen, ...]:
    """Of all that a host has said, the lines of LOOK."""
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for line in output:
        word, _, rest = line.partition(" ")
        if word == "port":
            name, key, value = rest.split(" ", 2)
            values[name][key] = value
    return tuple(Seen(**said) for said in values.values())
