"""What the links look like now."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand


@dataclass(frozen=True)
class Links:
    networkd: bool
    """systemd-networkd is enabled and runs."""
    addresses: dict[str, tuple[str, ...]]
    """Interface -> its IPv4 addresses with their prefix lengths."""


class LinkStates(FactBase[Links]):
    def command(self) -> StringCommand:
        return StringCommand(
            "if systemctl is-active --quiet systemd-networkd && systemctl is-enabled --quiet systemd-networkd; "
            "then echo yes; else echo no; fi; ip -j -4 address show"
        )

    def process(self, output: list[str]) -> Links:
        # iproute2 leaves an empty {} for an interface that has no such address
        interfaces = [item for item in json.loads("".join(output[1:]) or "[]") if item]
        return Links(
            output[0] == "yes",
            {
                item["ifname"]: tuple(f"{info['local']}/{info['prefixlen']}" for info in item.get("addr_info", ()))
                for item in interfaces
            },
        )

    @staticmethod
    def default() -> Links:
        return Links(False, {})
