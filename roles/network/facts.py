"""What the links look like now."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api import FactBase, StringCommand

from roles.lib.tentative import NETWORK, pending
from roles.network.managers import CONF, MANAGERS, SYSCTL, detect

MARKER = "/run/halofleet-network.loaded"
"""Touched when the network manager was told to read our files."""

SeenRoute = tuple[str, str, str]
"""A route's destination, gateway and source; empty where it has none."""


@dataclass(frozen=True)
class Device:
    """An interface that has an IPv4 address. addresses: with their prefix lengths. mtu: bytes."""

    addresses: tuple[str, ...] = ()
    mtu: int = 0
    routes: frozenset[SeenRoute] = frozenset()
    forwards: bool = False


@dataclass(frozen=True)
class Links:
    manager: str = ""
    """The one that keeps the links, a key of MANAGERS; empty where the host has none."""
    active: frozenset[str] = frozenset()
    """Of the managers, those that run."""
    starts: bool = False
    """systemd-networkd starts with the host."""
    unread: frozenset[str] = frozenset()
    """Files of ours that were written after the manager was last told to read them, and after the boot."""
    profiles: dict[str, str] = field(default_factory=dict)
    """What NetworkManager has of ours: the interface that the profile is for, the one that it is in use on."""
    devices: dict[str, Device] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    """Every interface, with and without an address."""
    pending: bool = False
    """A change of them waits for its confirmation (roles/lib/tentative.py)."""


class LinkStates(FactBase[Links]):
    """address: where SSH reaches the node."""

    def command(self, address: str) -> StringCommand:
        # PID 1's start, not the kernel's: a container boots later than the machine it is on.
        booted = (
            "booted=$(( $(sed -n 's/^btime //p' /proc/stat) + $(cut -d' ' -f22 /proc/1/stat) / $(getconf CLK_TCK) )); "
        )
        newer = f'if [ -e {MARKER} ]; then [ "$f" -nt {MARKER} ]; else [ "$(stat -c %Y "$f")" -ge $booted ]; fi'
        ours = " ".join([*(f"{manager.prefix}*{manager.suffix}" for manager in MANAGERS.values()), CONF, SYSCTL])
        return StringCommand(
            f"{detect(address)}{pending(NETWORK)}"
            "if systemctl is-enabled --quiet systemd-networkd 2>/dev/null; then echo starts; fi; "
            'if [ -n "$nm" ]; then LC_ALL=C nmcli -t -f NAME,DEVICE connection show | '
            "sed -n 's/^halofleet-\\([^:]*\\):/profile \\1 /p'; fi; "
            f"{booted}"
            f'for f in {ours}; do if [ -e "$f" ] && {newer}; then echo "unread $f"; fi; done; '
            "ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/there \\1/'; "
            "grep -l 1 /proc/sys/net/ipv4/conf/*/forwarding | sed 's,.*/\\(.*\\)/forwarding,forwards \\1,'; "
            "ip -j -4 address show; ip -j -4 route show"
        )

    def process(self, output: list[str]) -> Links:
        words = [line.split(" ") for line in output if not line.startswith(("[", "{"))]
        # iproute2 leaves an empty {} for an interface that has no such address
        listed = [[item for item in json.loads(line) if item] for line in output if line.startswith("[")]
        routes: dict[str, set[SeenRoute]] = defaultdict(set)
        for route in listed[1] if len(listed) > 1 else ():
            if "dev" in route and "gateway" in route:
                routes[route["dev"]].add((route["dst"], route["gateway"], route.get("prefsrc", "")))

        def said(what: str) -> list[str]:
            return [word[1] for word in words if word[0] == what]

        return Links(
            "".join(said("manager")),
            frozenset(said("active")),
            ["starts"] in words,
            frozenset(said("unread")),
            {word[1]: word[2] for word in words if word[0] == "profile"},
            {item["ifname"]: _device(item, routes, frozenset(said("forwards"))) for item in listed[0]},
            frozenset(said("there")),
            ["pending"] in words,
        )

    @staticmethod
    def default() -> Links:
        return Links()


def _device(item: dict[str, Any], routes: dict[str, set[SeenRoute]], forwarding: frozenset[str]) -> Device:
    name = item["ifname"]
    return Device(
        tuple(f"{info['local']}/{info['prefixlen']}" for info in item.get("addr_info", ())),
        item["mtu"],
        frozenset(routes.get(name, ())),
        name in forwarding,
    )
