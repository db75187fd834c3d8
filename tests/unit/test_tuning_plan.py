"""tuning: what differs on a box, what is remembered of it, and the values' sources. Pure."""

from __future__ import annotations

import configparser
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.tuning.facts import TuningStates
from roles.tuning.operations import off, on
from roles.tuning.plan import (
    BUS,
    DIRTY,
    PROFILE,
    RIVALS,
    SECTIONS,
    TUNED,
    Before,
    Seen,
    Unit,
    data,
    differing,
    profile,
    record,
    recorded,
    rivals,
)

RUNS, ABSENT = Unit("loaded", "enabled", "active"), Unit()
GOOD = Seen(
    section="vm",
    profile=hashlib.sha256(profile("vm").encode()).hexdigest(),
    active=PROFILE,
    mode="manual",
    dirty=dict(DIRTY),
    units={TUNED: RUNS, **dict.fromkeys(RIVALS, ABSENT)},
)
BEFORE = Before("", "", {TUNED: ABSENT, **dict.fromkeys(RIVALS, ABSENT)})


def test_nothing_differs_where_all_is_as_it_should_be() -> None:
    assert differing(GOOD) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(GOOD, section=""), "tuned is not installed"),
        (replace(GOOD, profile=""), "tuned's profile halofleet is not there"),
        (replace(GOOD, profile="0" * 64), "tuned's profile halofleet is another"),
        (replace(GOOD, section="sysctl"), "tuned's profile halofleet is another"),
        (replace(GOOD, active="balanced"), "tuned's profile is balanced"),
        (replace(GOOD, active=""), "tuned's profile is none"),
        (replace(GOOD, mode="auto"), "tuned's profile is halofleet"),
        (replace(GOOD, dirty=DIRTY | {"dirty_bytes": 0}), "vm.dirty_bytes is 0"),
        (replace(GOOD, units=GOOD.units | {TUNED: Unit("loaded", "disabled", "active")}),
         "tuned.service is disabled and active"),
        (replace(GOOD, units=GOOD.units | {TUNED: ABSENT}), "tuned.service is not-found and inactive"),
        (replace(GOOD, units=GOOD.units | {BUS[0]: Unit("loaded", "disabled", "inactive")}), f"{BUS[0]} is there"),
    ],
)  # fmt: skip
def test_each_thing_that_differs_is_said(seen: Seen, said: str) -> None:
    assert differing(seen) == [said]


def test_who_does_not_run_by_himself_is_left_alone_unless_d_bus_starts_him() -> None:
    idle = Unit("loaded", "disabled", "inactive")
    units = {**dict.fromkeys(RIVALS, idle), "tlp.service": RUNS}
    assert rivals(Seen(units=units)) == [*BUS, "tlp.service"]
    assert rivals(Seen(units=dict.fromkeys(RIVALS, Unit("masked", "masked", "inactive")))) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_the_profile_is_one_that_tuned_reads(section: str) -> None:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(profile(section))
    assert parser["main"]["include"] == "accelerator-performance"
    options = dict(parser[section])
    assert options.pop("replace", None) == ("1" if section == "vm" else None)
    assert {key.removeprefix("vm."): int(value) for key, value in options.items()} == DIRTY
    assert parser.sections() == ["main", section]


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="-_"), min_size=1, max_size=12)
UNITS = st.builds(Unit, WORDS, WORDS | st.just(""), WORDS)


@given(active=st.lists(WORDS, max_size=3).map(" ".join), mode=WORDS | st.just(""), units=st.dictionaries(WORDS, UNITS))
def test_what_is_remembered_is_read_again(active: str, mode: str, units: dict[str, Unit]) -> None:
    text = record(Seen(active=active, mode=mode, units=units))
    assert recorded(text.splitlines()) == Before(active, mode, units)


def test_our_own_profile_is_never_what_was_there_before() -> None:
    assert recorded(record(GOOD).splitlines()) == Before("", "", GOOD.units)


def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    masked = replace(GOOD, units=GOOD.units | {BUS[0]: Unit("masked", "masked", "inactive")})
    look = TuningStates().command().get_raw_value()
    for text in (look, on(replace(GOOD, units=dict.fromkeys(RIVALS, RUNS))), off(masked, BEFORE)):
        path = tmp_path / "script.sh"
        path.write_text(f"#!/bin/sh\n{text}")
        shellcheck = Path(sys.executable).with_name("shellcheck")
        done = subprocess.run([shellcheck, path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")


def test_the_fact_of_a_box_with_tuned() -> None:
    """Transcript: Debian 13, tuned 2.25.1 and tuned-ppd; systemd 257."""
    seen = TuningStates().process(
        [
            "section vm",
            "active balanced",
            "mode manual",
            "dirty dirty_bytes 0",
            "dirty dirty_background_bytes 0",
            "unit tuned.service LoadState=loaded",
            "unit tuned.service ActiveState=active",
            "unit tuned.service UnitFileState=enabled",
            "unit tlp.service LoadState=not-found",
            "unit tlp.service ActiveState=inactive",
            "unit tlp.service UnitFileState=",
        ]
    )
    assert seen == Seen(
        section="vm",
        active="balanced",
        mode="manual",
        dirty={"dirty_bytes": 0, "dirty_background_bytes": 0},
        units={"tuned.service": RUNS, "tlp.service": ABSENT},
    )


def test_a_profile_name_is_no_shell_code() -> None:
    text = off(GOOD, replace(BEFORE, active="$(reboot); x"))
    assert "echo '$(reboot); x' >/etc/tuned/active_profile" in text


def test_the_undo_stops_what_did_not_run_and_starts_what_did() -> None:
    masked = Unit("masked", "masked", "inactive")
    seen = replace(GOOD, units=GOOD.units | {BUS[0]: masked, BUS[1]: masked})
    text = off(seen, replace(BEFORE, units=BEFORE.units | {BUS[0]: masked, BUS[1]: RUNS}))
    assert "systemctl stop tuned.service\nsystemctl start power-profiles-daemon.service\n" in text
    assert "unmask --quiet power-profiles-daemon.service" in text
    assert "unmask --quiet tuned-ppd.service" not in text, "somebody's own mask"


def test_rivals_make_way_before_the_profile_is_set() -> None:
    text = on(replace(GOOD, units=GOOD.units | {BUS[0]: RUNS}))
    assert text.index(f"systemctl mask --now --quiet {BUS[0]}") < text.index("tuned-adm profile halofleet")


def test_every_value_has_its_source() -> None:
    written = {key: entry for key, entry in data().items() if key != "left_alone"}
    assert [key for key, entry in written.items() if not entry["sources"]] == []
    assert [key for key, entry in data()["left_alone"].items() if not entry["note"]] == []
