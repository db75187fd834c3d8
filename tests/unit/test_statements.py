"""What sources say of these boxes, statement by statement (statements.yml): a case each, or left open and why."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml

from roles.doctor.boards import board, board_of
from roles.doctor.box import Box
from roles.doctor.gate import check
from roles.doctor.judge import judge
from roles.doctor.lint import lint
from roles.kernel.boot import Entry, Seen
from roles.kernel.plan import PAGES_PER_GIB, Kernel, wanted
from roles.kernel.plan import judge as against
from roles.lib.finding import Finding
from tests.unit.doctor_boxes import booted, box, real

ROOT = Path(__file__).parents[2]
SOURCES: dict[str, list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parent / "statements.yml").read_text())
STATEMENTS = [(source, each) for source, statements in SOURCES.items() for each in statements]
WAYS = ({"finds"}, {"says"}, {"not"}, {"gives"}, {"refused"}, {"is"}, {"shown"}, {"open"}, {"says", "not"})
INPUTS = {"line", "kernel", "also", "transcript", "memory", "inventory", "kernels", "version", "board", "bios"} | {
    "smallest"
}
GIB = PAGES_PER_GIB
NODE = Kernel("halo1", IPv4Address("10.0.0.1"), True, None, 8 * GIB, 6 * GIB, True, "untouched", True, ("halo1",))


def those(way: str) -> list[Any]:
    return [pytest.param(each, id=f"{source}: {each['what']}") for source, each in STATEMENTS if way in each]


def the_box(each: dict[str, Any]) -> Box:
    also = [str(line) for line in each.get("also", ())]
    if "line" in each:
        return booted(each["line"], *also, kernel=each.get("kernel", "6.18.9"))
    return real(each["transcript"], *also) if "transcript" in each else box(*also)


def severities(findings: list[Finding]) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in findings}


@pytest.mark.parametrize(("source", "each"), STATEMENTS)
def test_every_statement_is_decided_in_one_way(source: str, each: dict[str, Any]) -> None:
    known = {"finds", "says", "not", "gives", "refused", "is", "shown", "open"}
    assert {key for key in each if key in known} in WAYS, f"{source}: {each['what']}"
    assert each.keys() <= known | INPUTS | {"what"}
    assert all(each.get(key) for key in ("what", *({"open", "shown"} & each.keys())))


@pytest.mark.parametrize("each", those("finds"))
def test_what_is_found(each: dict[str, Any]) -> None:
    if "version" in each:
        package, version, os = each["version"]
        assert severities(check(package, version, os, "box", rocm=True)) == each["finds"]
    else:
        assert severities(lint(the_box(each), "box")) == each["finds"]


@pytest.mark.parametrize("each", [*those("says"), *those("not")])
def test_what_the_doctor_says(each: dict[str, Any]) -> None:
    found = severities(judge(the_box(each), "box"))
    assert each.get("says", {}).items() <= found.items()
    assert not found.keys() & set(each.get("not", ()))


def node(each: dict[str, Any]) -> tuple[Kernel, Seen]:
    said = each.get("inventory", {})
    gpu = said["gpu"] * GIB if "gpu" in said else None
    kernel = replace(NODE, gpu=gpu, reserve=said.get("reserve", 8) * GIB, iommu=said.get("iommu", "untouched"))
    kernels = tuple(each.get("kernels", ("6.18.9",)))
    return kernel, Seen(int(each["memory"] * GIB), kernels, gtt=0, loader="grub", entries=(Entry("", ("quiet",)),))


@pytest.mark.parametrize("each", those("gives"))
def test_what_is_written(each: dict[str, Any]) -> None:
    kernel, seen = node(each)
    assert list(wanted(kernel, seen).arguments) == each["gives"]
    assert against(kernel, seen) == []


@pytest.mark.parametrize("each", those("refused"))
def test_what_is_refused(each: dict[str, Any]) -> None:
    assert severities(against(*node(each))) == {each["refused"]: "stop"}


@pytest.mark.parametrize("each", those("is"))
def test_boards(each: dict[str, Any]) -> None:
    found = board_of(box(f"dmi.product_name {each['board']}", "dmi.sys_vendor anybody"))
    assert (found.name if found else None) == each["is"]
    if "smallest" in each:
        assert board(each["is"], each.get("bios", "")).smallest == each["smallest"]


@pytest.mark.parametrize("each", those("shown"))
def test_what_other_tests_show_is_there(each: dict[str, Any]) -> None:
    for place in each["shown"]:
        file, _, name = place.partition("::")
        text = (ROOT / file).read_text()
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)


def test_most_statements_are_cases() -> None:
    kinds = [next(key for key in each if key not in {"what"}) for _, each in STATEMENTS]
    assert len(kinds) > 120
    assert kinds.count("open") < len(kinds) / 8
