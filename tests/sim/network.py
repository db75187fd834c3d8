"""Interfaces, systemd-networkd, nftables, sockets."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from tests.sim.shell import Call, NotModelled, Reply

FOREVER = 4294967295


class Network:
    """Programs: ip, networkctl, nft. addresses: interface -> its addresses with prefix lengths."""

    def __init__(self, root: Path, interfaces: tuple[str, ...], management: str) -> None:
        self.root = root
        self.booted = {"lo": ["127.0.0.1/8"], "host0": [f"{management}/24"]} | {name: [] for name in interfaces}
        self.forget()

    def forget(self) -> None:
        """As after the boot, before networkd has started."""
        self.addresses: dict[str, list[str]] = copy.deepcopy(self.booted)
        self.known: dict[str, str] = {}
        """networkd's files as it read them last: interface -> text."""
        self.tables: dict[str, str] = {}

    # --- systemd-networkd

    def reload(self) -> None:
        """networkctl(1): files are read again; interfaces whose file is new, changed or gone are configured again."""
        files: dict[str, str] = {}
        for path in sorted((self.root / "etc/systemd/network").glob("*.network"), reverse=True):
            text = path.read_text()
            files[re.findall(r"^Name=(.*)$", text, re.M)[0]] = text
        changed = {name for name in {*files, *self.known} if files.get(name) != self.known.get(name)}
        self.known = files
        for name in changed & set(self.addresses):
            self.reconfigure(name)

    def reconfigure(self, name: str) -> None:
        self.addresses[name] = re.findall(r"^Address=(.*)$", self.known.get(name, ""), re.M)

    def networkctl(self, call: Call) -> Reply:
        match call.words:
            case ["reload"]:
                self.reload()
            case ["reconfigure", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Failed to resolve interface "{name}": No such device\n', status=1)
                self.reconfigure(name)
            case _:
                raise NotModelled(call)
        return Reply()

    # --- iproute2

    def ip(self, call: Call) -> Reply:
        match call.words:
            case ["-j", "-4", "address", "show"]:
                # Every interface without an IPv4 address is an empty object, but for the last ones (trixie leaves
                # them out, bookworm does not).
                shown = [self._json(number, name) for number, name in enumerate(self.addresses, 1)]
                return Reply(json.dumps(shown, separators=(",", ":")) + "\n")
            case ["-o", "-4", "address"]:
                tail = r"scope global \       valid_lft forever preferred_lft forever"
                lines = [
                    f"{number}: {name}    inet {own} {tail}\n"
                    for number, (name, owns) in enumerate(self.addresses.items(), 1)
                    for own in owns
                ]
                return Reply("".join(lines))
            case ["-4", "-o", "address", "show", "dev", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Device "{name}" does not exist.\n', status=1)
                number = list(self.addresses).index(name) + 1
                tail = rf"scope global {name}\       valid_lft forever preferred_lft forever"
                return Reply("".join(f"{number}: {name}    inet {own} {tail}\n" for own in self.addresses[name]))
            case ["address", "delete", address, "dev", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Cannot find device "{name}"\n', status=1)
                if address not in self.addresses[name]:
                    return Reply(stderr="Error: ipv4: Address not found.\n", status=2)
                self.addresses[name].remove(address)
                return Reply()
            case ["-o", "link"]:
                tail = (
                    r"mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\    link/ether 02:00 brd ff"
                )
                return Reply(
                    "".join(
                        f"{number}: {name}{'@if9' if name != 'lo' else ''}: <BROADCAST,UP,LOWER_UP> {tail}\n"
                        for number, name in enumerate(self.addresses, 1)
                    )
                )
        raise NotModelled(call)

    def _json(self, number: int, name: str) -> dict[str, Any]:
        if not self.addresses[name]:
            return {}
        pairs = [own.split("/") for own in self.addresses[name]]
        infos = [
            {"family": "inet", "local": local, "prefixlen": int(length), "scope": "global", "label": name}
            | {"valid_life_time": FOREVER, "preferred_life_time": FOREVER}
            for local, length in pairs
        ]
        return {"ifindex": number, "ifname": name, "flags": ["UP"], "mtu": 1500, "addr_info": infos}

    # --- nftables

    def nft(self, call: Call) -> Reply:
        match call.words:
            case ["-c", "-f", path]:
                return self._rules(path)[0]
            case ["-f", path]:
                refusal, tables = self._rules(path)
                if not refusal.status:
                    self.tables |= tables
                return refusal
            case ["-s", "list", "table", "inet", name]:
                if name in self.tables:
                    return Reply(self.tables[name])
                marks = "^" * len(name)
                words = f"list table inet {name}"
                error = f"Error: No such file or directory\n{words}\n{marks:>{len(words)}}\n"
                return Reply(stderr=error, status=1)
        raise NotModelled(call)

    def _rules(self, path: str) -> tuple[Reply, dict[str, str]]:
        """The tables of a file as nft lists them: a set of one element loses its braces (nft 1.0.6 and 1.1.3)."""
        text = (self.root / path.removeprefix("/")).read_text()
        tables = {}
        for name, body in re.findall(r"^table inet (\w+) \{\n(.*?)^\}$", text, re.M | re.S):
            for line in body.splitlines():
                if not re.fullmatch(r"\tchain \w+ \{|\t\t(type filter .* policy \w+;|.* (accept|drop))|\t\}", line):
                    return Reply(stderr=f"{path}: Error: syntax error: {line}\n", status=1), {}
            listed = re.sub(r"{ (\w+) }", r"\1", body)
            tables[name] = f"table inet {name} {{\n{listed}}}\n"
        return Reply(), tables
