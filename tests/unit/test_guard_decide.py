"""When the guard acts: whatever it is told, it waits for more than one look, and never flaps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.guard.program.decide import CALM, FIRST_WAIT, GAP, LONGEST_WAIT, Complaint, Memory, step, wait

STUCK, LOST = Complaint("stuck", "nothing moves", 15), Complaint("lost", "no worker", 3)


Look = tuple[float, str, tuple[Complaint, ...]]
"""Seconds since the one before, invocation, complaints."""


def run(looks: Sequence[Look], memory: Memory | None = None) -> list[tuple[float, str]]:
    """The deeds: when, and why."""
    deeds: list[tuple[float, str]] = []
    memory, now = memory or Memory(), 1000.0
    for later, invocation, complaints in looks:
        now += later
        memory, due = step(memory, now, invocation, complaints)
        if due:
            deeds.append((now - 1000.0, due.kind))
    return deeds


def test_a_complaint_must_last() -> None:
    assert run([(2, "a", (STUCK,))] * 8) == []  # seen for 14 s
    assert run([(2, "a", (STUCK,))] * 9) == [(18, "stuck")]


def test_the_clock_starts_anew_when_it_was_well_in_between() -> None:
    assert run([(2, "a", (STUCK,))] * 8 + [(2, "a", ())] + [(2, "a", (STUCK,))] * 8) == []


def test_what_was_seen_of_another_process_is_not_this_ones() -> None:
    assert run([(2, "a", (STUCK,))] * 8 + [(2, "b", (STUCK,))] * 8) == []


def test_after_a_gap_in_looking_nothing_counts() -> None:
    """The machine stood still, and the clock went on: of that time nobody has seen anything."""
    assert run([(2, "a", (STUCK,)), (GAP + 1, "a", (STUCK,))]) == []
    assert run([(2, "a", (STUCK,)), (GAP, "a", (STUCK,))]) == [(2 + GAP, "stuck")]


def test_each_complaint_has_its_own_clock() -> None:
    assert run([(2, "a", (STUCK,))] * 4 + [(2, "a", (STUCK, LOST))] * 3) == [(14, "lost")]


def test_what_does_not_help_is_done_later_and_later() -> None:
    times = [time for time, _ in run([(1, "a", (Complaint("x", "x", 0),))] * 2000)]
    assert [second - first for first, second in pairwise(times)] == [
        5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300,
    ]  # fmt: skip


def test_who_was_well_for_a_while_starts_with_a_clean_slate() -> None:
    sick, well = (1.0, "a", (Complaint("x", "x", 0),)), (1.0, "a", ())
    many = [sick] * 100
    memory, now = Memory(), 0.0
    for later, invocation, complaints in many:
        now += later
        memory, _ = step(memory, now, invocation, complaints)
    assert memory.deeds == 5
    for _ in range(int(CALM)):
        now += 1
        memory, _ = step(memory, now, *well[1:])
    assert memory.deeds == 5
    memory, _ = step(memory, now + 1, *well[1:])
    assert memory.deeds == 0
    assert step(memory, now + 2, "a", sick[2])[1] is not None


def test_a_guard_that_was_killed_is_as_patient_as_before() -> None:
    """What it inherits: how often it acted, and when."""
    memory = Memory(deeds=4, acted=999.0)
    assert run([(1, "a", (Complaint("x", "x", 0),))] * 60, memory)[0][0] == 39


LOOKS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 2.0, 3.0, 20.0]),
        st.sampled_from(["a", "a", "a", "b"]),
        st.sets(st.sampled_from([STUCK, LOST, Complaint("x", "x", 0)])).map(tuple),
    ),
    max_size=400,
)


@settings(max_examples=300, deadline=None)
@given(LOOKS)
def test_it_never_flaps(looks: list[Look]) -> None:
    """Between two deeds is the wait that their number since the last calm minute asks for."""
    memory, now, last, count, calm = Memory(), 0.0, float("-inf"), 0, 0.0
    for later, invocation, complaints in looks:
        now += later
        calm = 0.0 if complaints or later > GAP or invocation != memory.invocation else calm + later
        if calm >= CALM:
            count = 0
        memory, due = step(memory, now, invocation, complaints)
        if due is None:
            continue
        assert due in complaints
        assert now - last >= min(FIRST_WAIT * 2 ** (count - 1), LONGEST_WAIT) if count else True
        last, count = now, count + 1


@pytest.mark.parametrize("seed", range(20))
def test_however_ill_it_is_an_hour_has_few_deeds(seed: int) -> None:
    """The worst that can be: well for just the calm time, ill, and so on. One deed a minute, never two in one."""
    looks: list[Look] = []
    dice = random.Random(seed)  # noqa: S311
    for _ in range(1800):
        looks.append((2.0, "a", (Complaint("x", "x", 0),) if dice.random() < dice.choice([0.02, 0.5, 1.0]) else ()))
    deeds = [time for time, _ in run(looks)]
    assert len(deeds) <= 3600 / CALM
    assert all(second - first >= FIRST_WAIT for first, second in pairwise(deeds))


def test_the_wait_has_no_end_but_a_limit() -> None:
    assert [wait(deeds) for deeds in (0, 1, 2, 7, 8, 10**6)] == [0, 5, 10, 300, 300, 300]
