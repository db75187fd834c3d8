"""What must be open where ufw is active: its own rules, marked by a comment, before those of the user (ufw(8))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from roles.firewall.plan import Firewall

COMMENT = "halofleet"
MARK = f" comment={COMMENT.encode().hex()}"
"""As ufw writes it to /etc/ufw/user.rules."""


@dataclass(frozen=True)
class Rule:
    """into, out: interfaces, empty for any. out: only of what is passed on. port: empty for any, and any protocol."""

    source: str
    destination: str = "0.0.0.0/0"
    port: str = ""
    into: str = ""
    out: str = ""

    @property
    def line(self) -> str:
        """As ufw keeps it: a line of user.rules behind `### tuple ###`, without the comment."""
        action = "route:allow" if self.out else "allow"
        protocol = "tcp" if self.port else "any"
        way = (f"in_{self.into}" if self.into else "in") + (f"!out_{self.out}" if self.out else "")
        return f"{action} {protocol} {self.port or 'any'} {self.destination} any {self.source} {way}"

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Of one that we have made."""
        _, _, port, destination, _, source, way = text.split(" ")
        into, _, out = way.partition("!")
        return cls(
            source,
            destination,
            "" if port == "any" else port,
            into.removeprefix("in").removeprefix("_"),
            out.removeprefix("out_"),
        )

    def words(self) -> tuple[str, ...]:
        """What follows `ufw prepend` and `ufw delete`."""
        into = ("in", *(("on", self.into) if self.into else ()))
        out = ("out", "on", self.out) if self.out else ()
        protocol = ("proto", "tcp") if self.port else ()
        port = ("port", self.port) if self.port else ()
        return ("allow", *into, *out, *protocol, "from", self.source, "to", self.destination, *port)


def rules(firewall: Firewall) -> tuple[Rule, ...]:
    doors = [
        Rule(str(door.source), str(door.destination), str(door.port), into=door.interface) for door in firewall.doors
    ]
    api = [Rule(_short(network), port=str(port)) for network in firewall.api_from for port in firewall.api_ports]
    passages = [
        Rule(str(passage.source), str(passage.destination), into=passage.into, out=passage.out)
        for passage in firewall.passages
    ]
    return (*doors, *api, *passages)


def _short(network: IPv4Network) -> str:
    """ufw writes one address without its length."""
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def changes(wanted: tuple[Rule, ...], seen: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Commands. seen: the lines of user.rules behind `### tuple ###`. A rule of the user's own stays, and serves us too
    where it is the same."""
    ours = {line.removesuffix(MARK) for line in seen if line.endswith(MARK)}
    there = ours | {line for line in seen if " comment=" not in line}
    for rule in wanted:
        if rule.line not in there:
            yield ("ufw", *(("route",) if rule.out else ()), "prepend", *rule.words(), "comment", COMMENT)
    for line in sorted(ours - {rule.line for rule in wanted}):
        rule = Rule.parse(line)
        yield ("ufw", *(("route",) if rule.out else ()), "delete", *rule.words())
