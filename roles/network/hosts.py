"""The block of /etc/hosts that holds the links' names. Pure: texts in, texts out, byte for byte but for the block."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address

PATH = "/etc/hosts"
BEGIN = "# BEGIN halofleet: names of the links"
END = "# END halofleet"

_BLOCK = re.compile(rf"^{re.escape(BEGIN)}\n(?:(?!{re.escape(BEGIN)}$).*\n)*?{re.escape(END)}(?:\n|\Z)", re.M)
_MARK = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)})\r?$", re.M)


class BrokenBlockError(ValueError):
    """One mark without the other: what is ours and what is not cannot be told any more."""


def block(names: Iterable[tuple[IPv4Address, str]]) -> str:
    """Empty where there are no names."""
    lines = [f"{address} {name}\n" for address, name in names]
    return "".join([f"{BEGIN}\n", *lines, f"{END}\n"]) if lines else ""


def changed(text: str, names: Iterable[tuple[IPv4Address, str]]) -> str:
    """The file with this block and no other of ours. A new one comes first: the last line of the file may have no line
    break, and then there is no way to put something behind it and to take it away again."""
    ours = block(names)
    rest = _BLOCK.sub("", text)
    if _MARK.search(rest):
        raise BrokenBlockError
    found = _BLOCK.search(text)
    if found is None or not ours:
        return ours + rest
    before = _BLOCK.sub("", text[: found.start()])
    return before + ours + rest[len(before) :]
