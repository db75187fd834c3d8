"""nftables: tables as they were loaded and as nft lists them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply

LINE = re.compile(r"|\tchain \w+ \{|\t\t(type filter hook (input|forward) .* policy \w+;|.* (accept|drop))|\t\}")


class Nftables:
    """Program: nft. tables: by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, str] = {}

    def nft(self, call: Call) -> Reply:
        match call.words:
            case ["-c", "-f", path]:
                return self._rules(path)[0]
            case ["-f", path]:
                refusal, tables = self._rules(path)
                if not refusal.status:
                    gone = re.findall(r"^delete table inet (\w+)$", self._text(path), re.M)
                    self.tables = {name: text for name, text in self.tables.items() if name not in gone} | tables
                return refusal
            case ["list", "tables"]:
                return Reply("".join(f"table inet {name}\n" for name in self.tables))
            case ["-s", "list", "table", "inet", name]:
                if name in self.tables:
                    return Reply(self.tables[name])
                marks = "^" * len(name)
                words = f"list table inet {name}"
                error = f"Error: No such file or directory\n{words}\n{marks:>{len(words)}}\n"
                return Reply(stderr=error, status=1)
        raise NotModelled(call)

    def _text(self, path: str) -> str:
        return (self.root / path.removeprefix("/")).read_text()

    def _rules(self, path: str) -> tuple[Reply, dict[str, str]]:
        text = self._text(path)
        tables = {}
        for name, body in re.findall(r"^table inet (\w+) \{\n(.*?)^\}$", text, re.M | re.S):
            for line in body.splitlines():
                if not LINE.fullmatch(line):
                    return Reply(stderr=f"{path}: Error: syntax error: {line}\n", status=1), {}
            tables[name] = f"table inet {name} {{\n{listed(body)}}}\n"
        return Reply(), tables


def listed(body: str) -> str:
    """As nft lists it: a set of one element loses its braces, one address its length (nft 1.0.6 and 1.1.3)."""
    return re.sub(r'{ ("?[\w-]+"?) }', r"\1", body).replace("/32 ", " ")
