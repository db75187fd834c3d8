"""Which of two versions is newer, as the distribution's own tool sees it, and ranges of versions."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cmp_to_key
from itertools import zip_longest
from typing import TypeVar

from packaging.specifiers import SpecifierSet
from packaging.version import Version

T = TypeVar("T", int, str, tuple[int, str])

_COMPARISON = re.compile(r"(<=|>=|==|<|>)\s*(\S+)")
_TESTS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "==": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order > 0,
}


def rpm(first: str, second: str) -> int:
    """-1, 0 or 1, as rpm orders [EPOCH:]VERSION[-RELEASE]; a release counts only where both have one."""
    (epoch, version, release), (other_epoch, other_version, other_release) = _evr(first), _evr(second)
    order = _sign(_value(epoch), _value(other_epoch)) or rpmvercmp(version, other_version)
    return order or (rpmvercmp(release, other_release) if release and other_release else 0)


def _evr(text: str) -> tuple[str, str, str]:
    epoch, colon, rest = text.partition(":")
    version, _, release = (rest if colon else text).rpartition("-")
    number = epoch if colon and epoch.isascii() and epoch.isdigit() else ""
    return (number, version, release) if version else (number, release, "")


def rpmvercmp(first: str, second: str) -> int:
    """One part of an EVR: digits or letters in turn; `~` sorts before the end, `^` just behind it."""
    for one, other in zip_longest(_segments(first), _segments(second), fillvalue=""):
        if one == other:
            continue
        if "~" in (one, other):
            return -1 if one == "~" else 1
        if not one or not other:
            return 1 if one else -1
        if "^" in (one, other):
            return -1 if one == "^" else 1
        if one.isdigit() != other.isdigit():
            return 1 if one.isdigit() else -1  # digits are newer than letters
        order = _sign(_value(one), _value(other)) if one.isdigit() else _sign(one, other)
        if order:
            return order
    return 0


def _segments(text: str) -> list[str]:
    return re.findall(r"[0-9]+|[A-Za-z]+|~|\^", text)


def _value(digits: str) -> tuple[int, str]:
    """Orders like the number, however long it is."""
    significant = digits.lstrip("0")
    return len(significant), significant


def dpkg(first: str, second: str) -> int:
    """-1, 0 or 1, as `dpkg --compare-versions` orders [EPOCH:]UPSTREAM[-REVISION] (deb-version(7))."""
    (epoch, version, revision), (other_epoch, other_version, other_revision) = _evr(first), _evr(second)
    order = _sign(_value(epoch), _value(other_epoch))
    return order or _verrevcmp(version, other_version) or _verrevcmp(revision, other_revision)


def _verrevcmp(first: str, second: str) -> int:
    """Non-digits and digits in turn; `~` before the end, letters before everything else."""
    for one, other in zip_longest(_turns(first), _turns(second), fillvalue=("", _value(""))):
        letters = [[_weight(letter) for letter in part] for part, _ in (one, other)]
        for left, right in zip_longest(*letters, fillvalue=0):
            if left != right:
                return _sign(left, right)
        if one[1] != other[1]:
            return _sign(one[1], other[1])
    return 0


def _turns(text: str) -> list[tuple[str, tuple[int, str]]]:
    return [(part, _value(digits)) for part, digits in re.findall(r"([^0-9]*)([0-9]*)", text) if part or digits]


def _weight(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isascii() and letter.isalpha() else ord(letter) + 256


def _sign(first: T, second: T) -> int:
    return (first > second) - (first < second)


def upstream(text: str) -> Version | None:
    """`7.2.1`, of `7.2.1-81~24.04`, `b7.2.1` or `7.2.1rc1`; None where there is none."""
    found = re.search(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", text)
    return Version(found[0]) if found else None


def number(text: str) -> int | None:
    """Firmware says its version in hexadecimal (`0x00000083`)."""
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,18}", text) else None


def within(version: str, wanted: str, order: str) -> bool:
    """Whether the version is in a range such as `>=1, <2`, in one of the orders rpm, dpkg, upstream and number.

    A version that cannot be read is in no range.
    """
    if order == "upstream":
        seen = upstream(version)
        return seen is not None and SpecifierSet(wanted.replace(" ", "")).contains(seen, prereleases=True)
    if order == "number":
        value = number(version)
        return value is not None and all(_TESTS[sign](_sign(value, int(bound, 0))) for sign, bound in _parts(wanted))
    compare = {"rpm": rpm, "dpkg": dpkg}[order]
    return bool(version) and all(_TESTS[sign](compare(version, bound)) for sign, bound in _parts(wanted))


def _parts(wanted: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for part in wanted.split(",") if (match := _COMPARISON.fullmatch(part.strip()))]


newest = cmp_to_key(dpkg)
"""A key for sorting kernels' names: `7.0.0-39-generic` behind `7.0.0-9-generic`."""
