"""What the links look like now."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api import FactBase, StringCommand

from roles.network.plan import MARKER, PREFIX

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
    networkd: bool = False
    """systemd-networkd is enabled and runs."""
    unread: frozenset[str] = frozenset()
    """Interfaces whose file was written after networkd was last told to read them, and after the boot."""
    devices: dict[str, Device] = field(default_factory=dict)


class LinkStates(FactBase[Links]):
    def command(self) -> StringCommand:
        # PID 1's start, not the kernel's: a container boots later than the machine it is on.
        booted = (
            "booted=$(( $(sed -n 's/^btime //p' /proc/stat) + $(cut -d' ' -f22 /proc/1/stat) / $(getconf CLK_TCK) )); "
        )
        newer = f'if [ -e {MARKER} ]; then [ "$f" -nt {MARKER} ]; else [ "$(stat -c %Y "$f")" -ge $booted ]; fi'
        return StringCommand(
            "if systemctl is-active --quiet systemd-networkd && systemctl is-enabled --quiet systemd-networkd; "
            f"then echo networkd; fi; {booted}"
            f'for f in {PREFIX}*.network; do if [ -e "$f" ] && {newer}; then f=${{f#{PREFIX}}}; '
            'echo "unread ${f%.network}"; fi; done; '
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
        forwarding = {word[1] for word in words if word[0] == "forwards"}
        return Links(
            ["networkd"] in words,
            frozenset(word[1] for word in words if word[0] == "unread"),
            {item["ifname"]: _device(item, routes, forwarding) for item in listed[0]},
        )

    @staticmethod
    def default() -> Links:
        return Links()


def _device(item: dict[str, Any], routes: dict[str, set[SeenRoute]], forwarding: set[str]) -> Device:
    name = item["ifname"]
    return Device(
        tuple(f"{info['local']}/{info['prefixlen']}" for info in item.get("addr_info", ())),
        item["mtu"],
        frozenset(routes.get(name, ())),
        name in forwarding,
    )
