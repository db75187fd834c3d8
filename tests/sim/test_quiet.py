"""quiet: others' hands kept off a node, and everything given back."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from roles import quiet
from roles.lib.board import QUIET
from roles.quiet.facts import QuietStates
from roles.quiet.plan import APT, AUTOMATIC, BEFORE, NEEDRESTART, SLEEP, TARGETS
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.run import Bench, Run

Stages = Callable[..., Stage]
UNITS = "/etc/systemd/system"
THEIRS = "[commands]\napply_updates = yes\nreboot = when-needed\n\n[base]\nexcludepkgs = mine"


def back(stage: Stage, sim: SimHost, *, dry: bool = False) -> Run:
    plan = quiet.plan.plan(stage.lab(), stage.node)
    return Bench(stage.lab(), stage.node, sim).run(quiet.given_back, plan, dry=dry)


def touched(sim: SimHost) -> dict[str, Any]:
    """All that the role may touch: files with their bytes, links, folders."""
    found: dict[str, Any] = {}
    for top in ("etc/apt", "etc/needrestart", "etc/dnf", "etc/systemd", "var/lib/halofleet/quiet"):
        for path in sorted([sim.root / top, *(sim.root / top).rglob("*")]):
            if path.is_symlink():
                found[str(path.relative_to(sim.root))] = path.readlink()
            elif path.exists():
                found[str(path.relative_to(sim.root))] = path.read_bytes() if path.is_file() else "folder"
    return found


def upgrades_by_itself(sim: SimHost, text: str | None = THEIRS) -> None:
    """dnf5-plugin-automatic is there; its own configuration where somebody has one."""
    sim.systemd.install(frozenset(), frozenset({"dnf5-automatic.timer"}))
    folder = sim.files.real(AUTOMATIC).parent
    folder.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (folder / "automatic.conf").write_text(text)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_written_once_and_given_back(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("quiet")
    if flavour == "fedora":
        upgrades_by_itself(sim)
    before = touched(sim)
    dry = stage.run("quiet", sim, dry=True)
    assert (dry.flat, dry.announced, touched(sim)) == ([], ("nobody else's hand",), before)
    commands = stage.run("quiet", sim).flat
    assert commands[:2] == ["mkdir -p -m 755 /var/lib/halofleet/quiet", f"write {BEFORE} 644 root:root"]
    assert commands[-1] == f"systemctl mask --quiet {' '.join(TARGETS)}"
    written = {command.split()[1] for command in commands if command.startswith("write ")} - {BEFORE}
    assert written == {NEEDRESTART, SLEEP, AUTOMATIC if flavour == "fedora" else APT}
    assert sim.systemd.start("suspend.target").stderr.endswith("Unit suspend.target is masked.\n")
    second = stage.run("quiet", sim)
    assert (second.flat, len(second.sent)) == ([], 1)
    assert stage.run("quiet", sim, dry=True).announced == ()
    assert back(stage, sim, dry=True).announced == ("as it was",)
    assert back(stage, sim).ended
    assert touched(sim) == before
    assert back(stage, sim).flat == []


def test_what_preflight_has_seen_is_not_asked_again(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("quiet")
    stage.run("quiet", sim)
    fact = QuietStates()
    script = shlex.quote(fact.command().get_raw_value())
    said = sim.shell.outside(sim.execute(f"sh -c {script}").stdout)
    assert stage.run("quiet", sim, told={QUIET: {"halo1": fact.process(said.splitlines())}}).sent == ()


def test_what_was_masked_before_stays_masked(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("quiet")
    sim.execute("systemctl mask suspend.target")
    before = touched(sim)
    commands = stage.run("quiet", sim).flat
    assert commands[-1] == "systemctl mask --quiet " + " ".join(each for each in TARGETS if each != "suspend.target")
    back(stage, sim)
    assert touched(sim) == before
    assert sim.systemd.masked("suspend.target")


def test_somebodys_own_target_is_left_and_named(stages: Stages, caplog: pytest.LogCaptureFixture) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("quiet")
    sim.files.real(f"{UNITS}/suspend.target").write_text("[Unit]\nDescription=mine\n")
    with caplog.at_level("INFO", logger="pyinfra"):
        assert stage.run("quiet", sim).ended
    assert f"warning: {UNITS}/suspend.target is somebody's own" in caplog.text
    assert sim.systemd.masked("sleep.target")
    assert stage.run("quiet", sim).flat == []


def test_what_drifted_is_put_right_and_the_first_record_stays(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("quiet")
    before = touched(sim)
    stage.run("quiet", sim)
    first = sim.text(BEFORE)
    sim.execute("systemctl unmask suspend.target")
    sim.files.real(APT).write_text("")
    sim.files.real(NEEDRESTART).unlink()
    assert stage.run("quiet", sim).flat == [
        f"write {NEEDRESTART} 644 root:root",
        f"write {APT} 644 root:root",
        "systemctl mask --quiet suspend.target",
    ]
    assert sim.text(BEFORE) == first
    back(stage, sim)
    assert touched(sim) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_opting_out_takes_ours_back(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("quiet")
    upgrades_by_itself(sim)
    stage.change(defaults__sleep="untouched", nodes__halo1__upgrades="untouched")
    stage.run("quiet", sim)
    assert not any(map(sim.systemd.masked, TARGETS))
    alone = touched(sim)
    assert sim.files.real(NEEDRESTART).exists(), "our own units are ours whatever the box may do"
    stage.change(defaults__sleep="never", nodes__halo1__upgrades="held")
    stage.run("quiet", sim)
    assert all(map(sim.systemd.masked, TARGETS))
    stage.change(defaults__sleep="untouched", nodes__halo1__upgrades="untouched")
    stage.run("quiet", sim)
    folders = {path for path, content in touched(sim).items() if content == "folder"}
    assert {path: content for path, content in touched(sim).items() if path not in folders} == {
        path: content for path, content in alone.items() if content != "folder"
    }
    assert sim.text(AUTOMATIC) == THEIRS
    assert stage.run("quiet", sim).flat == []


def test_a_mask_that_came_after_us_is_somebodys_own(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("quiet")
    stage.change(defaults__sleep="untouched")
    stage.run("quiet", sim)
    sim.execute("systemctl mask sleep.target")
    assert stage.run("quiet", sim).flat == []
    stage.change(defaults__sleep="never")
    stage.run("quiet", sim)
    stage.change(defaults__sleep="untouched")
    stage.run("quiet", sim)
    assert [each for each in TARGETS if sim.systemd.masked(each)] == ["sleep.target"]
    assert stage.run("quiet", sim).flat == []
    back(stage, sim)
    assert sim.systemd.masked("sleep.target")


def test_a_run_that_ended_before_it_had_noted_what_it_took_back(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("quiet")
    stage.run("quiet", sim)
    sim.execute(f"systemctl unmask {' '.join(TARGETS)}")
    sim.files.real(SLEEP).unlink()
    stage.change(defaults__sleep="untouched")
    assert stage.run("quiet", sim).flat == [f"write {BEFORE} 644 root:root"]
    sim.execute("systemctl mask sleep.target")
    assert stage.run("quiet", sim).flat == []


def test_automatic_upgrades_that_come_later_are_held_too(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("quiet")
    stage.run("quiet", sim)
    assert not sim.files.real(AUTOMATIC).exists()
    upgrades_by_itself(sim, None)
    assert stage.run("quiet", sim).flat == [f"write {AUTOMATIC} 644 root:root"]
    assert "excludepkgs = kernel, kernel-*, linux-firmware*" in sim.text(AUTOMATIC)
    back(stage, sim)
    assert not sim.files.real(AUTOMATIC).exists()
    assert not sim.files.real(BEFORE).exists()
