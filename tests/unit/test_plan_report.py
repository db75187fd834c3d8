"""The plan as text: exact for the labs of plan_corpus; for any lab, everything is there and nothing is garbled.

After a change that is wanted: HALOFLEET_REWRITE=1 pytest tests/unit/test_plan_report.py, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import Lab, load
from inventory.spec.boards import boards
from inventory.spec.language.nodes import Memory
from inventory.spec.report import report
from inventory.spec.report.drawing import draw
from inventory.spec.report.text import WIDTH

ROOT = Path(__file__).parents[2]
CORPUS = Path("tests/unit/plan_corpus")
LABS = {path.stem: path for path in sorted((ROOT / CORPUS).glob("*.yml"))}
EXPECTED = {"shipped": Path("inventory/lab.yml"), **{name: CORPUS / f"{name}.yml" for name in LABS}}
BOARD = max(boards().values(), key=lambda board: board.usb4_ports)
"""The one with the most ports."""


@pytest.mark.parametrize("name", EXPECTED)
def test_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text, expected = report(load(EXPECTED[name])), CORPUS / f"{name}.txt"
    if os.environ.get("HALOFLEET_REWRITE"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({}, None),
        ({"reserve": "16GiB"}, None),
        ({"gpu": "96GiB"}, 96),
        ({"installed": "128GiB"}, 120),
        ({"installed": "128GiB", "gpu": "96GiB"}, 96),
        ({"installed": "128GiB", "reserve": "16GiB"}, 112),
        ({"installed": "4GiB"}, 0),
    ],
)
def test_what_the_gpu_gets(said: dict[str, str], size: int | None) -> None:
    assert Memory.model_validate(said).for_models == size


def test_a_path_cannot_speak_to_the_terminal() -> None:
    lab = replace(load(ROOT / "inventory/lab.yml"), path=Path("/labs\n\x1b[31m/lab.yml"))
    assert "  file         /labs??[31m/lab.yml\n" in report(lab)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Any nodes, names and cables that a lab may have, up to two fabrics and two serves."""
    ids = draw(st.lists(st.integers(1, 180), min_size=1, max_size=draw(st.sampled_from((5, 12, 40))), unique=True))
    longest = draw(st.sampled_from((0, 5, 27)))
    tails = draw(st.lists(st.text("ab-", max_size=longest), min_size=len(ids), max_size=len(ids)))
    names = [f"n{index}{tail}".rstrip("-") for index, tail in enumerate(tails)]
    some = st.sampled_from(names)
    links: list[dict[str, Any]] = []
    plugged: Counter[str] = Counter()
    cables: Counter[frozenset[str]] = Counter()
    for pair in draw(st.lists(st.tuples(some, some), max_size=3 * len(ids))):
        key = frozenset(pair)
        if len(key) == 2 and cables[key] < 2 and all(plugged[name] < BOARD.usb4_ports for name in pair):
            links.append({"usb4": list(pair), "number": cables[key]})
            cables[key] += 1
            plugged.update(pair)
    for number in range(draw(st.integers(0, 2)) if len(names) > 1 else 0):
        members = draw(st.lists(some, min_size=2, unique=True))
        links.append({"ethernet": members, "subnet": f"10.45.{number}.0/24", "name": f"fabric-{number}"})
    memory = draw(st.sampled_from(({}, {"installed": "128GiB"}, {"gpu": "96GiB"})))
    return {
        "management": "10.43.0.0/24",
        "virtual": {},
        "defaults": {"os": "debian-13", "kernel": "none", "board": BOARD.name, "memory": memory},
        "nodes": {
            name: {"id": number, "address": f"10.43.0.{number + 1}"} for name, number in zip(names, ids, strict=True)
        },
        "links": links,
        "models": {"mine": {"file": "/models/my.gguf"}},
        "serves": {
            "chat": {
                "model": "mine",
                "controller": names[0],
                "workers": draw(st.permutations(_near(names, links)))[:16],
            }
        },
    }


def _near(names: list[str], links: list[dict[str, Any]]) -> list[str]:
    """What links join to the first node."""
    found = {names[0]}
    for _ in names:
        for link in links:
            ends = link.get("usb4") or link["ethernet"]
            found |= set(ends) if found & set(ends) else set()
    return sorted(found - {names[0]})


def loaded(file: dict[str, Any]) -> Lab:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lab.yml")
        path.write_text(json.dumps(file))
        return replace(load(path), path=Path("lab.yml"))


@given(files())
def test_every_cable_is_drawn_once_and_every_node_is_there(file: dict[str, Any]) -> None:
    lab = loaded(file)
    seen = read_back(list(draw(lab)))
    wanted: dict[str, Counter[frozenset[str]]] = defaultdict(Counter)
    for link in lab.links:
        wanted["usb4" if link.kind == "usb4" else link.name][frozenset(end.node for end in link.ends)] += 1
    joined = {end.node for link in lab.links for end in link.ends}
    if alone := lab.nodes.keys() - joined:
        wanted["without"][frozenset(alone)] += 1
    assert seen == wanted


@given(files())
def test_no_line_is_too_wide(file: dict[str, Any]) -> None:
    for line in report(loaded(file)).splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()


@given(files(), st.randoms())
def test_the_order_in_the_file_means_nothing(file: dict[str, Any], random: Any) -> None:
    before = report(loaded(file))
    nodes = list(file["nodes"].items())
    for part in (
        nodes,
        file["links"],
        *(ends for link in file["links"] for ends in link.values() if type(ends) is list),
    ):
        random.shuffle(part)
    assert report(loaded(file | {"nodes": dict(nodes)})) == before


def test_two_hundred_nodes() -> None:
    """A chain, a switch, and nothing at all; a single drawing of each."""
    names = [f"halo{number}" for number in range(1, 181)]
    for links in ([{"usb4": [a, b]} for a, b in pairwise(names)], []):
        fabric = {"ethernet": names[:150], "subnet": "10.45.0.0/24"}
        file = {
            "management": "10.43.0.0/24",
            "virtual": {},
            "defaults": {"os": "debian-13", "kernel": "none"},
            "nodes": {name: {"id": number, "address": f"10.43.0.{number + 1}"} for number, name in enumerate(names, 1)},
            "links": [*links, fabric],
            "models": {"mine": {"file": "/models/my.gguf"}},
            "serves": {"chat": {"model": "mine", "controller": "halo1", "workers": names[1:17]}},
        }
        lines = report(loaded(file)).splitlines()
        assert max(map(len, lines)) <= WIDTH
        assert len(lines) < 1000


# --- reading a drawing back ---------------------------------------------------------------------

NAME = re.compile(r"[a-z][a-z0-9-]*")


def read_back(lines: list[str]) -> dict[str, Counter[frozenset[str]]]:
    """Link -> the sets of nodes that it joins; `without`: those that nothing joins."""
    found: dict[str, Counter[frozenset[str]]] = defaultdict(Counter)
    buses: dict[str, set[str]] = defaultdict(set)
    middles: dict[int, str] = {}
    bus = ""
    rows = iter(_unwrapped(lines))
    for line in rows:
        if "==" in line:
            *label, stretch = line.split()
            bus = label[0] if label else bus
            below = _middles(next(rows))
            assert {column for column, char in enumerate(line) if char == "+"} == below.keys()
            assert set(stretch) == {"=", "+"}
            buses[bus] |= set(below.values())
        elif set(line) <= set(" +-|"):
            found["usb4"][_arc(line, middles)] += 1
        elif line.startswith("  without links: "):
            found["without"][frozenset(line.replace(",", "").split()[2:])] += 1
        else:
            middles = _middles(line)
            words = line.replace(",", "").split()
            for number, word in enumerate(words):
                if word == "----":
                    found["usb4"][frozenset((words[number - 1], words[number + 1]))] += 1
    for name, members in buses.items():
        found[name][frozenset(members)] += 1
    return found


def _unwrapped(lines: list[str]) -> Iterator[str]:
    """Lines that go on end with a comma or with a cable."""
    whole = ""
    for line in lines:
        whole += line if not whole else f" {line.strip()}"
        if not whole.endswith((",", " ----")):
            yield whole
            whole = ""
    assert not whole


def _middles(line: str) -> dict[int, str]:
    return {match.start() + len(match.group()) // 2: match.group() for match in NAME.finditer(line)}


def _arc(line: str, middles: dict[int, str]) -> frozenset[str]:
    """One cable a row; what crosses it, or stands beside it, leads from a node to a row below."""
    left, right = (column for column, char in enumerate(line) if char == "+")
    assert set(line[left + 1 : right]) <= {"-", "|"}
    assert set(line[:left] + line[right + 1 :]) <= {" ", "|"}
    assert {column for column, char in enumerate(line) if char == "|"} <= middles.keys()
    return frozenset((middles[left], middles[right]))
