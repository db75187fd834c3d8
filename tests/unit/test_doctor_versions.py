"""Orders of versions: rpm's by its own published cases, dpkg's by the real dpkg."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.doctor import versions

# The pairs of rpm-software-management/rpm: tests/rpmvercmp.at (at 7f3fdf6), each once and asked both ways here.
OLDER = """
1.0 2.0 | 2.0 2.0.1 | 2.0.1 2.0.1a | 5.5p1 5.5p2 | 5.5p1 5.5p10 | 10xyz 10.1xyz | xyz10 xyz10.1 | xyz.4 8 | xyz.4 2
5.5p2 5.6p1 | 5.6p1 6.5p1 | 6.0 6.0.rc1 | 10a1 10b2 | 10a2 10b2 | 1.0a 1.0aa | 10.0001 10.0039 | 4.999.9 5.0
20101121 20101122 | 1.0~rc1 1.0 | 1.0~rc1 1.0~rc2 | 1.0~rc1~git123 1.0~rc1 | 1.0 1.0^ | 1.0 1.0^git1
1.0^git1 1.0^git2 | 1.0^git1 1.01 | 1.0^20160101 1.0.1 | 1.0^20160101^git1 1.0^20160102 | 1.0~rc1 1.0~rc1^git1
1.0^git1~pre 1.0^git1
"""
EQUAL = """
1.0 1.0 | 2.0.1a 2.0.1a | xyz.4 xyz.4 | 10.0001 10.0001 | 10.0001 10.1 | 2_0 2.0 | a a | a+ a_ | +a _a | + _ | _+ _+
1.0~rc1~git123 1.0~rc1~git123 | 1.0^ 1.0^ | 1.0^20160101^git1 1.0^20160101^git1 | 1.0^git1~pre 1.0^git1~pre
"""


def pairs(text: str) -> list[tuple[str, str]]:
    return [
        (one, other) for pair in text.replace("\n", "|").split("|") if pair.strip() for one, other in [pair.split()]
    ]


@pytest.mark.parametrize(("older", "newer"), pairs(OLDER))
def test_rpm_older(older: str, newer: str) -> None:
    assert (versions.rpmvercmp(older, newer), versions.rpmvercmp(newer, older)) == (-1, 1)


@pytest.mark.parametrize(("one", "other"), pairs(EQUAL))
def test_rpm_equal(one: str, other: str) -> None:
    assert (versions.rpmvercmp(one, other), versions.rpmvercmp(other, one)) == (0, 0)


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("20260110-1.fc43", "20260110", 0),  # a release counts where both have one
        ("20260110-1.fc43", "20260110-2.fc43", -1),
        ("1:1.0-1", "2.0-1", 1),
        ("6.18.9-200.fc43", "6.18.10-100.fc43", -1),
    ],
)
def test_rpm_with_epoch_and_release(one: str, other: str, order: int) -> None:
    assert (versions.rpm(one, other), versions.rpm(other, one)) == (order, -order)


def real_dpkg(one: str, other: str) -> int:
    def holds(relation: str) -> bool:
        return subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0

    return -1 if holds("lt") else 0 if holds("eq") else 1


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg on this machine")


@needs_dpkg
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("6.17.0-19.19~24.04.2", "6.17.0-19.19"),
        ("6.17.0-19.19~24.04.2", "6.17.0-20.20~24.04.1"),
        ("6.14.0-1018", "6.14.0-1018.18"),
        ("6.14.0-1018", "6.14.0-999"),
        ("1:1.0-1", "2.0-1"),
        ("7.0.0-9-generic", "7.0.0-39-generic"),
        ("20240318.git3b128b60-0ubuntu2", "20240318.git3b128b60-0ubuntu2.1"),
        ("1.0", "1.0-0"),
        ("1.0a", "1.0+"),
        ("1.0~~", "1.0~"),
        ("26.0.8-1ubuntu0.3", "26.0.6"),
    ],
)
def test_dpkg_says_the_same(one: str, other: str) -> None:
    assert versions.dpkg(one, other) == real_dpkg(one, other)
    assert versions.dpkg(other, one) == real_dpkg(other, one)


debian = st.from_regex(r"\A([0-9]:)?[0-9][0-9az.+~]{0,6}(-[0-9az.+~]{1,4})?\Z")


@needs_dpkg
@settings(max_examples=60)
@given(debian, debian)
def test_dpkg_says_the_same_of_anything(one: str, other: str) -> None:
    assert versions.dpkg(one, other) == real_dpkg(one, other)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_orders_are_orders(one: str, other: str, third: str) -> None:
    """Whatever the words: none raises, each is the other's opposite, and a chain holds."""
    for compare in (versions.rpmvercmp, versions.rpm, versions.dpkg):
        assert compare(one, other) == -compare(other, one)
    for compare in (versions.rpmvercmp, versions.dpkg):
        if compare(one, other) <= 0 and compare(other, third) <= 0:
            assert compare(one, third) <= 0


@pytest.mark.parametrize(
    ("version", "wanted", "order", "inside"),
    [
        ("20251125-1.fc43", ">=20251125, <20260110", "rpm", True),
        ("20260110-1.fc43", ">=20251125, <20260110", "rpm", False),
        ("6.18.6-200.nobara.fc43.x86_64", ">=6.18.4", "upstream", True),
        ("7.0.0-38-generic", ">=7", "upstream", True),
        ("6.18.3", ">=6.18.4", "upstream", False),
        ("0x00000083", "==0x83", "number", True),
        ("0x00000080", "==0x83", "number", False),
        ("nonsense", "==0x83", "number", False),
        ("nonsense", ">=1", "upstream", False),
        ("", ">=0", "dpkg", False),
    ],
)
def test_ranges(version: str, wanted: str, order: str, inside: bool) -> None:
    assert versions.within(version, wanted, order) is inside


def test_a_number_of_any_length() -> None:
    long = "9" * 5000
    assert versions.rpm(long, "1") == versions.dpkg(long, "1") == 1
    assert versions.upstream(long) is not None
    assert versions.number(long) is None
