"""The links of a node as they are, in one remote command (templates/link_proof/look.sh)."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api import FactBase, QuoteString, StringCommand

from roles.lib.layout import LINKS_PROVEN
from roles.link_proof.plan import Proof, Wire
from roles.link_proof.record import Proven, parse

SCRIPT = (Path(__file__).parents[2] / "templates/link_proof/look.sh").read_text()


@dataclass(frozen=True)
class Port:
    """An interface. addresses: IPv4. local: its link-local IPv6 addresses. mtu: bytes. up: it was told to be; carrier:
    somebody is at the other end."""

    mac: str = ""
    mtu: int = 0
    up: bool = False
    carrier: bool = False
    addresses: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Answer:
    """What came of reaching an address. dev: the interface that the kernel takes. times: round trips, ms; empty where
    nobody answers. passes: bytes of the largest packet tried that gets there unsplit. macs: who says he has it."""

    dev: str = ""
    times: tuple[float, ...] = ()
    passes: int = 0
    macs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sight:
    """By interface, or by interface and address. heard: link-local addresses of who is on the wire. arrived: echo
    requests of others since the look began. usb4: rx_speed and the like, as sysfs says them. port: Mb/s."""

    ports: Mapping[str, Port] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    claimed: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    heard: Mapping[str, frozenset[str]] = field(default_factory=dict)
    arrived: Mapping[str, int] = field(default_factory=dict)
    usb4: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    port: Mapping[str, int] = field(default_factory=dict)
    security: Mapping[str, str] = field(default_factory=dict)
    """Of Thunderbolt domains."""
    proven: tuple[Proven, ...] = ()
    lacks: frozenset[str] = frozenset()
    """Programs that are not there."""


class Sights(FactBase[Sight]):
    def command(self, proof: Proof) -> StringCommand:
        return StringCommand("sh -c", QuoteString(SCRIPT), "look.sh", LINKS_PROVEN, *map(shlex.quote, words(proof)))

    def process(self, output: list[str]) -> Sight:
        said: dict[str, list[list[str]]] = defaultdict(list)
        for line in output:
            key, _, rest = line.partition(" ")
            said[key].append(rest.split(" ", 2))
        macs = _sets(((one, two), mac.lower()) for one, two, mac in said["mac"])
        dev = {(one, two): _dev(text) for one, two, text in said["route"]}
        times = {(one, two): tuple(map(float, text.split())) for one, two, text in said["times"]}
        passes = {(one, two): int(size) for one, two, size in said["passes"]}
        usb4: dict[str, dict[str, str]] = defaultdict(dict)
        for interface, key, value in said["usb4"]:
            usb4[interface][key] = value
        return Sight(
            ports=_ports(" ".join(said["addresses"][-1])) if said["addresses"] else {},
            answers={
                key: Answer(dev.get(key, ""), times.get(key, ()), passes.get(key, 0), macs.get(key, frozenset()))
                for key in {*dev, *macs}
            },
            claimed=_sets(((one, two), mac.lower()) for one, two, mac in said["claimed"]),
            heard=_sets((interface, address) for interface, address in said["heard"]),
            arrived={interface: int(count) for interface, count in said["arrived"]},
            usb4=dict(usb4),
            port={interface: int(speed) for interface, speed in said["port"]},
            security=dict(said["security"]),
            proven=parse(" ".join(words) for words in said["proven"]),
            lacks=frozenset(words[0] for words in said["lacks"]),
        )

    @staticmethod
    def default() -> Sight:
        return Sight()


def words(proof: Proof) -> list[str]:
    """What look.sh is asked."""
    found = []
    for wire in proof.wires:
        found.append(f"wire:{wire.interface}:{wire.address}")
        found += [f"peer:{wire.interface}:{wire.address}:{peer.address}:{wire.mtu}" for peer in wire.peers]
    return found + [f"far:{far.interface}:{far.source}:{far.address}:{far.mtu}" for far in proof.far]


def _sets(pairs: Iterable[tuple[Any, str]]) -> dict[Any, frozenset[str]]:
    found: dict[Any, set[str]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return {key: frozenset(values) for key, values in found.items()}


def _dev(text: str) -> str:
    routes = json.loads(text) if text else []
    return str(routes[0].get("dev", "")) if routes else ""


def _ports(text: str) -> dict[str, Port]:
    """Of `ip -j address`; iproute2 leaves an empty {} here and there."""
    return {item["ifname"]: _port(item) for item in json.loads(text) if item}


def _port(item: Mapping[str, Any]) -> Port:
    infos = item.get("addr_info", ())
    return Port(
        mac=item.get("address", ""),
        mtu=item["mtu"],
        up="UP" in item["flags"],
        carrier="LOWER_UP" in item["flags"],
        addresses=frozenset(info["local"] for info in infos if info["family"] == "inet"),
        local=frozenset(info["local"] for info in infos if info["family"] == "inet6" and info["scope"] == "link"),
    )


@dataclass(frozen=True)
class Claim:
    """Before the links have their addresses. macs: of all the node's interfaces. taken: the node's planned addresses
    that somebody on the wire has already, each with the interface and who that is."""

    macs: frozenset[str] = frozenset()
    taken: tuple[tuple[str, str, str], ...] = ()


class Claims(FactBase[Claim]):
    """Asked where the interface is up and has not got the address yet."""

    def command(self, wires: tuple[Wire, ...]) -> StringCommand:
        ends = " ".join(f"{shlex.quote(wire.interface)}:{wire.address}" for wire in wires)
        return StringCommand(
            "ip -o link | sed -n 's,.* link/ether \\([0-9a-f:]*\\) .*,mac \\1,p'; "
            f"for end in {ends}; do dev=${{end%%:*}} own=${{end#*:}}; "
            'if ip -o link show dev "$dev" 2>/dev/null | grep -q LOWER_UP && '
            '! ip -4 -o address show dev "$dev" | grep -qF " $own/"; then '
            '(arping -D -c 2 -w 2 -I "$dev" "$own" 2>/dev/null | '
            'sed -n "s/^.* reply from [0-9.]* \\[\\([0-9A-F:]*\\)\\].*/taken $dev $own \\1/p") & fi; done; wait'
        )

    def process(self, output: list[str]) -> Claim:
        said = [line.split(" ") for line in output]
        return Claim(
            frozenset(words[1] for words in said if words[0] == "mac"),
            tuple((words[1], words[2], words[3].lower()) for words in said if words[0] == "taken"),
        )

    @staticmethod
    def default() -> Claim:
        return Claim()
