"""The host's own firewall: firewalld 2.3.1 and ufw 0.36.2, in the words that Debian 13's were seen to use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from tests.sim.shell import Call, NotModelled, Reply

BUS = ("--json=short", "call", "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1")
POLICY = ("org.fedoraproject.FirewallD1.policy", "getPolicySettings", "s")
TUPLE = "### tuple ### "


class Firewalld:
    """Programs: firewall-cmd, busctl. runs: policy -> its rules. now: what is open until the next reload only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: dict[str, list[str]] = {}
        self.now = ""
        self.broken = ""
        """What --check-config says of the user's files."""

    def load(self) -> None:
        self.now = ""
        self.runs = {}
        for path in sorted((self.root / "etc/firewalld/policies").glob("*.xml")):
            root = ElementTree.fromstring(path.read_bytes())  # noqa: S314  # ours
            self.runs[path.stem] = [_words(rule) for rule in root.findall("rule")]

    def firewall_cmd(self, call: Call) -> Reply:
        match call.words:
            case ["--permanent", "--list-all-zones"]:
                return Reply("public\n  services: dhcpv6-client ssh\n  ports: \n")
            case ["--list-all-zones"]:
                return Reply(f"public (default, active)\n  services: dhcpv6-client ssh\n  ports: {self.now}\n")
            case ["--check-config"] if self.broken:
                return Reply(stderr=f"Error: {self.broken}\n", status=1)
            case ["--check-config"]:
                return Reply("success\n")
            case ["--quiet", "--reload"]:
                self.load()
                return Reply()
        raise NotModelled(call)

    def busctl(self, call: Call) -> Reply:
        *words, name = call.words
        if tuple(words) != BUS + POLICY:
            raise NotModelled(call)
        if name not in self.runs:
            return Reply(stderr=f"Call failed: INVALID_POLICY: {name}\n", status=1)
        settings = {
            "short": {"type": "s", "data": name},
            "target": {"type": "s", "data": "CONTINUE"},
            "rich_rules": {"type": "as", "data": self.runs[name]},
        }
        return Reply(json.dumps({"type": "a{sv}", "data": [settings]}, separators=(",", ":")) + "\n")


def _words(rule: ElementTree.Element) -> str:
    parts = [" ".join([part.tag, *(f'{key}="{value}"' for key, value in part.items())]) for part in rule]
    return " ".join([f'rule family="{rule.get("family")}"', *parts])


class Ufw:
    """Programs: ufw; iptables, for whether ufw's chains are there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded = True

    @property
    def rules(self) -> Path:
        return self.root / "etc/ufw/user.rules"

    def lines(self) -> list[str]:
        return re.findall(rf"^{TUPLE}(.*)$", self.rules.read_text(), re.M)

    def install(self) -> None:
        self.rules.parent.mkdir(parents=True)
        (self.rules.parent / "ufw.conf").write_text("ENABLED=yes\nLOGLEVEL=low\n")
        self._write(["allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"])

    def ufw(self, call: Call) -> Reply:
        words = list(call.words)
        if words == ["reload"]:  # what user.rules says; this model runs nothing else
            return Reply("Firewall reloaded\n")
        route = words[0] == "route"
        action, *words = words[1:] if route else words
        comment = ""
        if words[-2] == "comment":
            comment = f" comment={words[-1].encode().hex()}"
            words = words[:-2]
        line = self._line(words, route=route, call=call)
        known = {each.partition(" comment=")[0]: each for each in self.lines()}
        match action:
            case "prepend":
                if line in known:
                    return Reply("Skipping inserting existing rule\n")
                self._write([line + comment, *self.lines()])
                return Reply("Rule inserted\n")
            case "delete":
                if line not in known:
                    return Reply("Could not delete non-existent rule\n")
                self._write([each for each in self.lines() if each != known[line]])
                return Reply("Rule deleted\n")
        raise NotModelled(call)

    def iptables(self, call: Call) -> Reply:
        if call.words != ("-S", "ufw-user-input"):
            raise NotModelled(call)
        missing = "iptables: No chain/target/match by that name.\n"
        return Reply("-N ufw-user-input\n") if self.loaded else Reply(stderr=missing, status=1)

    def _line(self, words: list[str], *, route: bool, call: Call) -> str:
        pattern = r"allow in(?: on (\S+))?(?: out on (\S+))?( proto tcp)? from (\S+) to (\S+)(?: port (\d+))?"
        found = re.fullmatch(pattern, " ".join(words))
        if found is None:
            raise NotModelled(call)
        into, out, protocol, source, destination, port = found.groups()
        way = (f"in_{into}" if into else "in") + (f"!out_{out}" if out else "")
        what = f"{'tcp' if protocol else 'any'} {port or 'any'}"
        return f"{'route:' if route else ''}allow {what} {destination} any {source} {way}"

    def _write(self, lines: list[str]) -> None:
        rules = "".join(f"{TUPLE}{line}\n-A ...\n\n" for line in lines)
        self.rules.write_text(f"*filter\n### RULES ###\n\n{rules}### END RULES ###\nCOMMIT\n")
