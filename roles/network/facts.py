"""What the links look like now."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from roles.network.plan import MARKER, PREFIX


@dataclass(frozen=True)
class Links:
    networkd: bool
    """systemd-networkd is enabled and runs."""
    unread: frozenset[str]
    """Interfaces whose file was written after networkd was last told to read them, and after the boot."""
    addresses: dict[str, tuple[str, ...]]
    """Interface -> its IPv4 addresses with their prefix lengths."""


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
            "ip -j -4 address show"
        )

    def process(self, output: list[str]) -> Links:
        words = [line.split(" ") for line in output if not line.startswith(("[", "{"))]
        # iproute2 leaves an empty {} for an interface that has no such address
        interfaces = [item for item in json.loads(output[-1]) if item]
        return Links(
            ["networkd"] in words,
            frozenset(word[1] for word in words if word[0] == "unread"),
            {
                item["ifname"]: tuple(f"{info['local']}/{info['prefixlen']}" for info in item.get("addr_info", ()))
                for item in interfaces
            },
        )

    @staticmethod
    def default() -> Links:
        return Links(False, frozenset(), {})
