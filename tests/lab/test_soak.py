"""Nothing is wrong, and so nothing is done: mixed load for five minutes (an hour in `make test-slow`) without a request
that fails and without a service that is started again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.faults import CACHE, CONTROLLER, OURS, Cluster
from tests.lab.harness import Lab
from tests.lab.load import Load, guards, runs
from tests.thorough import THOROUGH

SECONDS = 3600.0 if THOROUGH else 300.0
BUSY = SECONDS / 4
PAUSE = 40.0
"""More than the guard waits before it asks for a completion of its own, and looks at what came of it."""
LOOK = 10.0
SLOTS, CONTEXT = 4, 8192
WEIGHT = 33


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Slots that have a context each: what one may ask for is then not what others have left of it."""
    before = lab.yml.read_text()
    lab.yml.write_text(before.replace("    context: 2048", f"    context: {CONTEXT}\n    slots: {SLOTS}"))
    lab.cluster().ok()
    found = Cluster(lab, *OURS, (lab.home() / "labs/test/chat.key").read_text().split()[0], CACHE)
    found.right = found.ask(30)
    yield found
    lab.yml.write_text(before)
    lab.cluster().ok()


def canaries(lab: Lab) -> int:
    return int(guards(lab)[CONTROLLER][0]["canaries"])


def deeds(lab: Lab) -> dict[str, list[object]]:
    """Earlier tests may have left some."""
    return {host: [unit["deeds"] for unit in units] for host, units in guards(lab).items()}


def watched(lab: Lab, seconds: float, longest: dict[str, float]) -> None:
    """Waits, and notes how long each complaint of a guard has lasted that was forgiven in the end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for host, units in guards(lab).items():
            for each in (complaint for unit in units for complaint in unit["complaints"]):
                name = f"{host} {each['kind']}"
                longest[name] = max(longest.get(name, 0), each["seconds"])
        time.sleep(max(0.0, min(LOOK, end - time.monotonic())))


def test_nothing_is_restarted_and_no_request_fails(cluster: Cluster) -> None:
    lab, longest = cluster.lab, dict[str, float]()
    load = Load(cluster.api, cluster.key, CONTEXT // SLOTS, SLOTS)
    before, done, birds, since = runs(lab), deeds(lab), canaries(lab), int(time.time()) + 1
    start = time.monotonic()
    watched(lab, PAUSE, longest)
    assert canaries(lab) > birds, "idle with empty slots, and the guard has asked for nothing"
    number = 0
    while (rest := start + SECONDS - time.monotonic()) > 0:
        load.begin(f"{number}")
        watched(lab, min(BUSY, rest), longest)
        load.end()
        if start + SECONDS - time.monotonic() > PAUSE:
            watched(lab, PAUSE, longest)
        number += 1
    said = {host: lab.ssh(host, f"journalctl -q -o cat -u halofleet-guard --since=@{since}") for host in lab.addresses}
    print(f"{load}\nguards' complaints that passed: {longest or 'none'}; {canaries(lab) - birds} canaries")
    print(f"the guards' journals: {said}")
    assert not load.failures, "\n".join(load.failures[:20])
    assert runs(lab) == before
    assert deeds(lab) == done
    assert load.fullest == SLOTS
    assert cluster.ask(30) == cluster.right
