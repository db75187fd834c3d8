"""A guest's questions on the serial line, GRUB's menu and a passphrase, and the keys that answer them. Pure."""

from __future__ import annotations

import re

HEADER = b"GNU GRUB"
"""Drawn anew for every menu and submenu."""

HOME, DOWN, ENTER = b"\x01", b"\x0e", b"\r"
"""GRUB's names for them: C-a, C-n. A cursor key is several bytes, and GRUB may read them as several keys."""

ENTRY = re.compile(r"^\s*(menuentry|submenu) '((?:[^']|'\\'')*)'")


EFI_ONLY = re.compile(r'^if \[ "\$grub_platform" = "efi" \].*?^fi$', re.MULTILINE | re.DOTALL)
CUSTOM = re.compile(r"^if \[ -f +\$\{config_directory\}/custom\.cfg \].*?^fi$", re.MULTILINE | re.DOTALL)
"""41_custom's: where the entries of custom.cfg come to stand."""


def entries(cfg: str, custom: str = "") -> dict[str, list[int]]:
    """Of grub-mkconfig's grub.cfg: each entry's place in its menu and in those around it, by its titles joined by `>`.

    The menu is a BIOS's; `custom` is what custom.cfg adds.
    """
    found: dict[str, list[int]] = {}
    titles: list[str] = []
    places = [0]
    inside: list[str] = []  # what each brace that is open belongs to
    for line in CUSTOM.sub(lambda _: custom, EFI_ONLY.sub("", cfg)).splitlines():
        kind = ""
        if match := ENTRY.match(line):
            kind, title = match[1], match[2].replace("'\\''", "'")
            if kind == "menuentry":
                found[">".join([*titles, title])] = places.copy()
                places[-1] += 1
            else:
                titles.append(title)
                places.append(0)
        if line.rstrip().endswith("{"):
            inside.append(kind)
        elif line.strip() == "}" and inside.pop() == "submenu":
            titles.pop()
            places.pop()
            places[-1] += 1
    return found


def path_to(wanted: str, found: dict[str, list[int]]) -> list[int]:
    """Its place in the menu and in the submenus; `wanted` may leave out the titles of those."""
    for path, places in found.items():
        if wanted in (path, path.rsplit(">", 1)[-1]):
            return places
    raise ValueError(f"no entry {wanted!r} in GRUB's menu: {', '.join(map(repr, found))}")


class Menu:
    """Reads what GRUB draws and answers with keys, a menu at a time."""

    def __init__(self, path: list[int]) -> None:
        self._left = list(path)
        self._seen = b""

    def keys(self, drawn: bytes) -> bytes:
        """To be sent after this was drawn; nothing most of the time."""
        if not self._left:
            return b""
        self._seen += drawn
        if HEADER not in self._seen:
            return b""
        self._seen = self._seen.split(HEADER, 1)[1]
        return HOME + DOWN * self._left.pop(0) + ENTER


class Prompt:
    """Answers one question, as often as it is asked."""

    def __init__(self, question: str, answer: str) -> None:
        self._question, self._answer = question.encode(), answer.encode() + ENTER
        self._seen = b""

    def keys(self, drawn: bytes) -> bytes:
        """To be sent after this was drawn; nothing most of the time."""
        self._seen += drawn
        if self._question not in self._seen:
            self._seen = self._seen[-len(self._question) :]
            return b""
        self._seen = b""
        return self._answer
