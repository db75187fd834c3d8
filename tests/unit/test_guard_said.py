"""What a guard's state says to status: read by the command that a node gets, and judged."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.guard.facts import FRESH, Complaint, Deed, GuardStates, Sight, State, Watched
from roles.guard.judge import judge
from roles.guard.plan import STATE
from roles.guard.program import watch
from roles.guard.program.__main__ import Guard, write
from roles.guard.program.decide import Complaint as Wrong
from roles.guard.program.seen import Config, Server, Unit, Worker
from roles.lib.remote import Question, Several
from tests.unit.test_guard_look import program

NOW = 1764370000.0
WELL = Watched("w.service", "well")
WRITTEN = Config(
    "halo2", Worker("w.service", "127.0.0.1:1", 15, 300), (Server("s.service", "chat", "::1", 1, (), 60, 300),), ()
)


def ask(path: Path) -> Sight:
    """As status does: one of several questions, in a real shell."""
    questions = (Question(GuardStates), Question(GuardStates))
    several = Several()
    command = several.command(questions).get_raw_value().replace(STATE, str(path))
    said = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    first, second = several.process(said.stdout.splitlines())
    assert (first.state, first.why) == (second.state, second.why)
    assert isinstance(first, Sight)
    return first


def said(*units: Watched, age: float = 1, **changed: Any) -> list[str]:
    sight = Sight(NOW, replace(State(NOW - age, "", units), **changed), "")
    return [f"{each.severity} {each.rule}: {each.seen}" for each in judge("halo2", ("w.service",), sight)]


def test_what_the_program_writes_is_what_status_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "systemctl", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    guard = Guard(WRITTEN, lambda _: "")
    guard.trouble = "s.service: \x1b[31mred"
    frozen = Wrong("frozen", "its process is stopped (state T)", 10)
    for _ in range(12):
        guard.watches[0].act(frozen, Unit())
    guard.watches[0].complaints = (frozen,)
    guard.watches[1].noted = "its API does not show its slots"
    write(tmp_path / "state", guard.state())
    sight = ask(tmp_path / "state")
    assert sight.state
    assert sight.fresh
    assert abs(sight.now - time.time()) < 60
    assert sight.state.trouble == "s.service: [31mred", "nothing that a terminal obeys"
    worker, server = sight.state.units
    assert (worker.unit, worker.state, worker.restarts) == ("w.service", "down", 12)
    assert worker.complaints == (Complaint("frozen", "its process is stopped (state T)", 0),)
    assert [(deed.seen, deed.done) for deed in worker.deeds] == [
        (frozen.text, "killed; systemd starts it again")
    ] * watch.KEPT
    assert (server.unit, server.note) == ("s.service", "its API does not show its slots")


def test_restarts_are_counted_on_by_the_next_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "systemctl", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    service = Worker("w.service", "127.0.0.1:1", 15, 300)
    first, second, third = (watch.Watch(service, lambda _: None) for _ in range(3))
    for _ in range(12):
        first.act(Wrong("frozen", "x", 10), Unit())
    second.inherit(first.state(0))
    second.act(Wrong("frozen", "x", 10), Unit())
    assert (second.state(0)["restarts"], len(second.state(0)["deeds"])) == (13, watch.KEPT)
    older = {key: value for key, value in first.state(0).items() if key != "restarts"}
    third.inherit(older)
    assert third.restarts == watch.KEPT, "of a guard that did not count: those that it remembers"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "is not there"),
        (lambda path: path.write_text(""), "is empty, or cannot be read"),
        (lambda path: path.mkdir(), "is empty, or cannot be read"),
        (lambda path: path.write_text("{"), "is not as this version's guard writes it"),
        (lambda path: path.write_text("[" * 100000), "is not as this version's guard writes it"),
        (lambda path: path.write_text("missing"), "is not there"),
        (lambda path: path.write_text('{"units": [], "trouble": ""}'), "is not as this version's guard writes it"),
    ],
)
def test_a_file_that_says_nothing(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    make(tmp_path / "state")
    sight = ask(tmp_path / "state")
    assert (sight.state, sight.why, sight.fresh) == (None, why, False)
    (finding,) = judge("halo2", ("w.service",), sight)
    assert (finding.severity, finding.rule, finding.seen) == ("warn", "state of the guard", f"{STATE} {why}")
    assert finding.expected == "written in the last 30 s"
    assert ("cluster.py" in finding.fix) == ("version" in why)


GOOD = Guard(WRITTEN, lambda _: "").state()
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner, max_size=3),
)


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(sorted(GOOD["units"][0])), ODD, ODD)
def test_whatever_is_in_it_nothing_breaks(key: str, inner: str, one: object, other: object) -> None:
    unit = {**GOOD["units"][0], inner: other}
    for document in (one, {**GOOD, key: one}, {**GOOD, "units": [unit]}, {**GOOD, "units": [{**unit, "deeds": [one]}]}):
        sight = GuardStates().process([*json.dumps(document).splitlines(), "", "1764370000"])
        assert (sight.state is None) == bool(sight.why)
        for finding in judge("halo2", ("w.service",), sight):
            assert finding.seen.isprintable()


def test_a_time_that_is_none_does_not_break_it() -> None:
    for number in ("NaN", "Infinity", "1e300", "-1", "9" * 400, '"5"', "null"):
        text = json.dumps({**GOOD, "time": 0}).replace('"time": 0', f'"time": {number}')
        assert GuardStates().process([text, "5"]).state is None


def test_a_guard_that_is_well_and_a_node_without_one() -> None:
    assert said(WELL) == []
    assert said(WELL, replace(WELL, unit="x.service", state="starting")) == []
    assert list(judge("halo3", (), Sight())) == []


def test_a_guard_that_has_stopped_looking() -> None:
    assert said(WELL, age=FRESH) == []
    assert said(WELL, age=FRESH + 1) == [f"warn state of the guard: {STATE} was written 31 s ago"]
    assert said(WELL, age=-1) == [], "the clock is asked in whole seconds"
    assert said(WELL, age=-90) == [f"warn state of the guard: {STATE} was written 90 s from now, by the node's clock"]
    stuck = replace(WELL, state="suspect", complaints=(Complaint("frozen", "x", 5),), note="y")
    assert said(stuck, age=99, trouble="z") == [f"warn state of the guard: {STATE} was written 99 s ago"], "old news"


def test_what_it_complains_of() -> None:
    frozen = Complaint("frozen", "its process is stopped (state T)", 4.2)
    busy = Complaint("stuck", "alive, but nothing moves: 1 of 4 slots are at work", 9.9)
    suspect = replace(WELL, state="suspect")
    assert said(replace(suspect, complaints=(frozen,))) == [
        "warn guard of w.service: suspect: its process is stopped (state T), for 4 s"
    ]
    assert said(replace(suspect, complaints=(busy,))) == [], "a long prompt is no finding"
    assert said(replace(suspect, complaints=(replace(busy, seconds=10), frozen))) == [
        "warn guard of w.service: suspect: alive, but nothing moves: 1 of 4 slots are at work, for 10 s; "
        "its process is stopped (state T), for 4 s"
    ]
    note = "cannot listen at 10.44.0.1:50052, which nc (process 7) holds; end that, or choose another rpc_port"
    assert said(replace(WELL, state="down", note=note)) == [f"warn guard of w.service: {note}"]
    assert said(WELL, trouble="s.service: could not be judged: KeyError: 1") == [
        "warn guard: s.service: could not be judged: KeyError: 1"
    ]
    assert said(replace(WELL, unit="other.service")) == ["warn guard of w.service: not looked after"]


def test_what_it_did_in_the_last_hour() -> None:
    def deeds(*ages: float) -> Watched:
        done = tuple(Deed(NOW - age, f"seen {age:.0f}", "killed; systemd starts it again") for age in ages)
        return replace(WELL, deeds=done, restarts=17)

    assert said(deeds(3601, 90000)) == []
    assert said(deeds(9000, 3600, 90)) == [
        "warn restarts of w.service: 2 by the guard in the last hour, 17 since boot; 2025-11-28 22:45:10 UTC: seen 90: "
        "killed; systemd starts it again"
    ]
    (many,) = said(deeds(*range(watch.KEPT)))
    assert many.startswith("warn restarts of w.service: at least 10 by the guard in the last hour")
    old, restarts = said(deeds(90), age=600)
    assert old.startswith("warn state of the guard")
    assert restarts.startswith("warn restarts of w.service: 1 by the guard"), "what is done is done"
    sight = Sight(NOW, State(NOW, "", (deeds(9),)), "")
    assert "journalctl -u w.service" in next(judge("halo2", ("w.service",), sight)).fix
