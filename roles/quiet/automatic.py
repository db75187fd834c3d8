"""The block of dnf's automatic.conf that is ours. Pure: texts in, texts out, byte for byte but for the block.

It comes last, because of two values the later one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BEGIN = "# BEGIN halofleet: these change in halofleet's order, and no upgrade reboots a node"
JOINED = f"{BEGIN} (the line above had no end)"
"""Of a block behind a line without a line break, which goes with the block."""
END = "# END halofleet"

_BLOCK = re.compile(rf"(?:\n{re.escape(JOINED)}|^{re.escape(BEGIN)})\n(?:.*\n)*?{re.escape(END)}\n", re.M)
_SECTION = re.compile(r"^\[(?P<name>[^]]*)\][ \t]*\n(?P<body>(?:(?!\[).*(?:\n|\Z))*)", re.M)
_EXCLUDED = re.compile(r"^exclude(?:pkgs)?[ \t]*=[ \t]*(?P<names>.*(?:\n[ \t]+.*)*)", re.M)


def free(text: str) -> str:
    """Without our block."""
    return _BLOCK.sub("", text)


def held(text: str, packages: Iterable[str]) -> str:
    """With our block, and no other of ours: the packages are left out, besides those that already were."""
    rest = free(text)
    names = ", ".join((*_excluded(rest), *packages))
    begin = f"\n{JOINED}" if rest and not rest.endswith("\n") else BEGIN
    return f"{rest}{begin}\n[commands]\nreboot = never\n[base]\nexcludepkgs = {names}\n{END}\n"


def _excluded(text: str) -> list[str]:
    """What somebody else leaves out."""
    found: list[str] = []
    for section in _SECTION.finditer(text):
        if section["name"].strip() == "base":
            for said in _EXCLUDED.finditer(section["body"]):
                found += re.split(r"[\s,]+", said["names"].strip())
    return [name for name in dict.fromkeys(found) if name]
