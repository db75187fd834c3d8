"""tuning: the profile on every tuned there is, rivals out of its way, and everything given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyinfra.api import Host

from roles import tuning
from roles.tuning.plan import BEFORE, DIRTY
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.run import Bench, Run
from tests.sim.tuned import DIRTY as VERSIONS
from tests.sim.tuned import KERNEL, OLD_PPD, PPD, SERVICE

Stages = Callable[..., Stage]
OURS = {"dirty_ratio": 0, "dirty_background_ratio": 0, **DIRTY}
MASK = "/etc/systemd/system/{}"


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What hosts are heard to say."""
    found: list[str] = []
    monkeypatch.setattr(Host, "log", lambda _, message, *__: found.append(message))
    monkeypatch.setattr(Host, "log_styled", lambda _, message, **__: found.append(message))
    return found


def box(stages: Stages, flavour: str, *, version: str = "", running: tuple[str, ...] = ()) -> tuple[Stage, SimHost]:
    """version: of the tuned that is installed already, or will be. running: units that are enabled and run."""
    stage = stages(flavour, "halo2")
    stage.change(defaults__kernel="own")
    sim = stage.before("tuning")
    if version:
        sim.tuned.version = version
    if SERVICE in running:
        sim.packages.installed.add("tuned")
        sim._arrived("tuned")
    for unit in running:
        sim.systemd.install(frozenset({unit}), frozenset())
    return stage, sim


def back(stage: Stage, sim: SimHost) -> Run:
    return Bench(stage.lab(), stage.node, sim).run(tuning.given_back, tuning.plan.plan(stage.lab(), stage.node))


def values(sim: SimHost) -> dict[str, int]:
    return {name: int(sim.text(f"/proc/sys/vm/{name}")) for name in KERNEL}


def touched(sim: SimHost) -> Any:
    """All that the role may touch."""
    files = {
        str(path.relative_to(sim.root)): path.read_text() if path.is_file() else ""
        for top in ("etc/tuned", "etc/systemd/system", "var/lib/halofleet/tuning")
        for path in (sim.root / top).rglob("*")
        if path.name != "profiles"
    }
    units = {name: unit.active for name, unit in sim.systemd.units.items() if not name.startswith("halofleet")}
    return files, units, set(sim.systemd.enabled), values(sim)


def active(sim: SimHost, unit: str) -> bool:
    return unit in sim.systemd.units and sim.systemd.units[unit].active == "active"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_installed_active_and_a_second_run_is_one_look(stages: Stages, flavour: str, version: str) -> None:
    stage, sim = box(stages, flavour, version=version)
    dry = stage.run("tuning", sim, dry=True)
    assert (dry.flat, dry.announced) == ([], ("tuned's profile",))
    assert values(sim) == KERNEL
    first = stage.run("tuning", sim)
    assert [command.split("\n")[0] for command in first.flat] == [
        "mkdir -p -m 755 /var/lib/halofleet/tuning",
        f"write {BEFORE} 644 root:root",
        "job packages:",
        "job tuning:",
    ]
    assert sim.text("/etc/tuned/active_profile") == "halofleet\n"
    assert values(sim) == OURS
    below = "" if version == "2.20" else "profiles/"
    assert "include=accelerator-performance" in sim.text(f"/etc/tuned/{below}halofleet/tuned.conf")
    second = stage.run("tuning", sim)
    assert (second.flat, len(second.sent)) == ([], 1)
    assert stage.run("tuning", sim, dry=True).announced == ()
    sim.reboot()
    assert values(sim) == OURS
    assert stage.run("tuning", sim).flat == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("flavour", "running"), [("fedora", (SERVICE, PPD)), ("ubuntu", (OLD_PPD,)), ("debian", ())])
def test_a_desktops_daemons_make_way_and_come_back(
    stages: Stages, flavour: str, running: tuple[str, ...], version: str
) -> None:
    """Fedora's desktops have tuned-ppd, Ubuntu's power-profiles-daemon."""
    stage, sim = box(stages, flavour, version=version, running=running)
    before = touched(sim)
    stage.run("tuning", sim)
    for unit in running:
        assert active(sim, unit) is (unit == SERVICE)
        assert sim.systemd.masked(unit) is (unit != SERVICE)
    assert sim.systemd.start(PPD).status != 0, "nor does D-Bus start it"
    assert values(sim) == OURS
    sim.reboot()
    assert values(sim) == OURS
    assert stage.run("tuning", sim).flat == []
    assert [command.split("\n")[0] for command in back(stage, sim).flat] == ["job tuning:"]
    if SERVICE in running:
        assert touched(sim) == before
    else:  # the package stays, stopped
        assert not active(sim, SERVICE)
        assert SERVICE not in sim.systemd.enabled
        assert values(sim) == KERNEL
        assert all(active(sim, unit) for unit in running)
        assert not sim.files.real(BEFORE).exists()
    assert back(stage, sim).flat == []
    sim.reboot()
    assert values(sim) == KERNEL
    assert all(active(sim, unit) for unit in running)


def test_a_profile_that_somebody_chose_comes_back(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE,))
    sim.execute("tuned-adm profile accelerator-performance")
    before = touched(sim)
    assert before[3]["dirty_ratio"] == 40
    stage.run("tuning", sim)
    back(stage, sim)
    assert touched(sim) == before


def test_a_profile_that_somebody_chose_since_stays(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE,))
    stage.run("tuning", sim)
    sim.execute("tuned-adm profile accelerator-performance")
    back(stage, sim)
    assert sim.text("/etc/tuned/active_profile") == "accelerator-performance\n"


def test_what_drifted_is_repaired_and_the_first_record_stays(stages: Stages, notes: list[str]) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE, PPD))
    stage.run("tuning", sim)
    first = sim.text(BEFORE)
    profile = "/etc/tuned/profiles/halofleet/tuned.conf"
    sim.execute(f"sh -c 'systemctl unmask {PPD}; systemctl start {PPD}; echo >>{profile}'")
    notes.clear()
    assert [command.split("\n")[0] for command in stage.run("tuning", sim).flat] == ["job tuning:"]
    assert notes[0] == (
        f"{PPD} is there, tuned's profile halofleet is another, tuned's profile is balanced, "
        "vm.dirty_bytes is 0, vm.dirty_background_bytes is 0"
    )
    assert sim.text(BEFORE) == first
    assert stage.run("tuning", sim).flat == []


def test_an_update_that_moves_the_profiles(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", version="2.20")
    stage.run("tuning", sim)
    sim.tuned.version = "2.27"
    sim.tuned.arrives()
    sim.reboot()
    assert values(sim) != OURS
    stage.run("tuning", sim)
    assert values(sim) == OURS
    back(stage, sim)
    assert list(sim.files.real("/etc/tuned").rglob("halofleet")) == []


def test_tlp_counts_where_it_is_used(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", running=("tlp.service",))
    sim.systemd.install(frozenset(), frozenset({"cpupower.service"}))
    stage.run("tuning", sim)
    assert (sim.systemd.masked("tlp.service"), sim.systemd.masked("cpupower.service")) == (True, False)


def test_somebodys_own_mask_stays(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE, PPD))
    sim.execute(f"systemctl mask --now {PPD}")
    stage.run("tuning", sim)
    back(stage, sim)
    assert sim.systemd.masked(PPD)


def test_none_leaves_it_alone_and_takes_ours_back(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE, PPD))
    before = touched(sim)
    stage.change(defaults__tuning="none")
    run = stage.run("tuning", sim)
    assert (run.flat, len(run.sent)) == ([], 1)
    assert touched(sim) == before
    stage.change(defaults__tuning="performance")
    stage.run("tuning", sim)
    stage.change(nodes__halo2__tuning="none")
    assert stage.run("tuning", sim, dry=True).announced == ("tuned's profile",)
    stage.run("tuning", sim)
    assert touched(sim) == before
    assert stage.run("tuning", sim).flat == []


def test_without_a_kernel_of_its_own_nothing_is_asked(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("tuning")
    assert stage.run("tuning", sim).sent == ()
    stage.change(nodes__halo1__kernel="own")
    assert stage.run("tuning", sim).sent == ()
    assert back(stage, sim).sent == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            lambda sim: (
                sim.files.real("/etc/sysctl.d").mkdir(exist_ok=True)
                or sim.files.real("/etc/sysctl.d/90-mine.conf").write_text("vm.dirty_ratio = 5\n")
            ),
            "vm.dirty_bytes is 0 under tuned's profile halofleet; expected: 629145600; take vm.dirty_* out of: "
            "/etc/sysctl.d/90-mine.conf ; to leave tuned alone: `tuning: none` in lab.yml",
        ),
        (lambda sim: setattr(sim.tuned, "broken", "Error changing profile\n"), "tuned refuses its profile halofleet"),
        (
            lambda sim: sim.files.real("/usr/lib/tuned/profiles/accelerator-performance/tuned.conf").unlink(),
            "tuned is installed without its profile accelerator-performance",
        ),
        (lambda sim: sim.execute(f"systemctl mask --now {SERVICE}"), "tuned.service does not start"),
        (
            lambda sim: sim.files.real(MASK.format(PPD)).write_text("[Service]\nExecStart=/bin/true\n"),
            "tuned-ppd.service cannot be masked",
        ),
    ],
)
def test_what_does_not_become_active_is_a_clear_failure(stages: Stages, fault: Any, said: str) -> None:
    stage, sim = box(stages, "fedora", running=(SERVICE,))
    fault(sim)
    assert not stage.run("tuning", sim, dies_after=99).ended
    assert said in sim.text("/var/lib/halofleet/jobs/tuning.log")


def test_a_package_that_does_not_arrive_is_a_clear_failure(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    sim.packages.flavour = FLAVOURS["fedora"].__class__(**{**vars(FLAVOURS["fedora"]), "brings": {}})
    assert not stage.run("tuning", sim, dies_after=99).ended
    assert "No match for argument: tuned" in sim.text("/var/lib/halofleet/jobs/packages.log")
