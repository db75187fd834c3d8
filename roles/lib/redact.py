"""Takes out of a text what says whose boxes these are, so that it can be shown to strangers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_MAC = r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"
_NAMED_BY_MAC = r"(?:enx|wlx|wwx)[0-9a-f]{12}"
_ADDRESS = r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*[0-9A-Fa-f:]|[0-9]{1,3}(?:[.][0-9]{1,3}){3}"
_PRIVATE = re.compile(rf"(?<![\w.])(?:(?P<id>{_UUID})|(?P<mac>{_MAC}|{_NAMED_BY_MAC})|(?P<address>{_ADDRESS}))(?!\w)")


class Redactor:
    """The same name or address becomes the same word everywhere: box1, address1, mac1, id1."""

    def __init__(self, boxes: Iterable[Iterable[str]]) -> None:
        """boxes: of each, all the names that it goes by."""
        self._known: dict[str, str] = {}
        self._count: dict[str, int] = {}
        for number, names in enumerate(boxes, 1):
            self._known |= {name: f"box{number}" for name in names if name}
        self._names = sorted(self._known, key=lambda name: (-len(name), name))

    def __call__(self, text: str) -> str:
        for name in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", self._known[name], text)
        return _PRIVATE.sub(self._replace, text)

    def _word(self, kind: str, seen: str) -> str:
        if seen not in self._known:
            self._count[kind] = self._count.get(kind, 0) + 1
            self._known[seen] = f"{kind}{self._count[kind]}"
        return self._known[seen]

    def _replace(self, match: re.Match[str]) -> str:
        kind, seen = str(match.lastgroup), match[0]
        if kind != "address":
            return self._word(kind, seen)
        try:
            address = ip_address(seen)
        except ValueError:
            # Behind the address of an endpoint stands its port.
            host, _, port = seen.rpartition(":")
            return f"{_PRIVATE.sub(self._replace, host)}:{port}" if host.count(".") == 3 else seen
        return seen if address.is_unspecified or address.is_loopback else self._word("address", seen)
