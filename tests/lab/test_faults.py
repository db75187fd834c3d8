"""A cluster that survives its parts: what breaks comes back by itself, in bounded time, and answers as before.

Each fault is done to a bare llama.cpp on the same hosts first (where that is more than a program that is not started
again). With HALOFLEET_DOCS=true the figures are written into docs/faults.md.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
import requests

from tests.lab.breaking import FAULTS
from tests.lab.faults import CACHE, CONTROLLER, OURS, Cluster, Fault, bare, long_answer, put_away
from tests.lab.harness import ROOT, Lab, make_lab

PAGE = ROOT / "docs/faults.md"
WEIGHT = 3
SETTLE = 90.0
LOOK = 20.0
"""Seconds that a bare one is looked at."""

T = TypeVar("T")
Rows = dict[str, tuple[str, float]]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    found = make_lab(tmp_path_factory.mktemp("faults"), "faults-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    found.yml.write_text(found.yml.read_text().replace("    context: 2048", "    context: 2048\n    cache: 1GiB"))
    found.down().ok()
    found.up().ok()
    found.cluster().ok()
    yield found
    found.down().ok()


@pytest.fixture(scope="module")
def cluster(hosts: Lab) -> Cluster:
    found = Cluster(hosts, *OURS, (hosts.home() / "labs/test/chat.key").read_text().split()[0], CACHE)
    found.right = found.ask(30)
    assert found.ask(30) == found.right, "greedy"
    return found


@pytest.fixture(scope="module")
def loading(cluster: Cluster) -> float:
    """Seconds from a server's restart to its first answer."""
    start = time.monotonic()
    cluster.lab.ssh(CONTROLLER, f"systemctl restart {OURS[0]}")
    cluster.answers(SETTLE)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    found: Rows = {}
    yield found
    print("\n" + table(found))
    if os.environ.get("HALOFLEET_DOCS") == "true":
        write(PAGE, found)


@pytest.mark.parametrize("fault", FAULTS, ids=[each.name.replace(" ", "-") for each in FAULTS])
def test_it_answers_again(cluster: Cluster, loading: float, rows: Rows, fault: Fault) -> None:
    without = on_bare(cluster, fault) if fault.bare else ""
    cluster.answers(SETTLE)
    since = time.time()
    took = broken(cluster, fault, lambda: cluster.answers(loading + fault.seconds))
    print(f"{fault.name}: {without or 'nobody'}; {took:.1f} s")
    rows[fault.name] = (without, took)
    assert fault.said in cluster.journals(since)


def on_bare(cluster: Cluster, fault: Fault) -> str:
    """What becomes of it, in a few words."""
    other = bare(cluster.lab, cluster.right)
    try:
        other.answers(SETTLE)
        return broken(other, fault, lambda: verdict(other))
    finally:
        put_away(cluster.lab)


def broken(cluster: Cluster, fault: Fault, look: Callable[[], T]) -> T:
    if fault.busy:
        long_answer(cluster)
    try:
        fault.there(cluster)
        return look()
    finally:
        if fault.after:
            fault.after(cluster)


def verdict(other: Cluster) -> str:
    end = time.monotonic() + LOOK
    while time.monotonic() < end:
        state = other.state()
        if "active" not in state:
            return "its server is gone" + (" (SIGABRT)" if "6" in state else "")
        with suppress(requests.RequestException, ValueError, KeyError):
            return "goes on" if other.ask(5) == other.right else "answers, and wrongly"
        time.sleep(0.3)
    try:
        health = requests.get(f"{other.api}/health", timeout=5)
    except requests.RequestException:
        return "hangs, and so does /health" if "active" in other.state() else "its server is gone"
    return f"hangs, and /health says {health.status_code}"


def table(found: Rows) -> str:
    lines = ["| Fault | A bare llama.cpp | halofleet answers again after |", "|---|---|---|"]
    for name, (without, took) in found.items():
        lines.append(f"| {name} | {without or 'not run: nobody starts it again'} | {took:.0f} s |")
    return "\n".join(lines) + "\n"


def write(page: Path, found: Rows) -> None:
    head, mark, _ = page.read_text().partition("<!-- written by the test -->\n")
    page.write_text(head + mark + table(found))
