"""The tuning role and Debian's real tuned, beside tuned-ppd, which runs there as on a desktop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roles.tuning.plan import DIRTY
from tests.lab.harness import Lab, Run
from tests.vm.harness import Machines
from tests.vm.image import image
from tests.vm.machine import Machine

PROFILE = "cat /etc/tuned/active_profile"
VALUES = "cd /proc/sys/vm && grep . dirty_ratio dirty_bytes dirty_background_ratio dirty_background_bytes swappiness"
STATE = (
    f"{PROFILE} /etc/tuned/profile_mode; ls -RA /etc/tuned /etc/systemd/system; "
    "systemctl is-enabled tuned tuned-ppd; systemctl is-active tuned tuned-ppd; ls /var/lib/halofleet/tuning 2>&1; "
    f"{VALUES}"
)
"""All that the role touches."""
OURS = [
    "dirty_ratio:0",
    f"dirty_bytes:{DIRTY['dirty_bytes']}",
    "dirty_background_ratio:0",
    f"dirty_background_bytes:{DIRTY['dirty_background_bytes']}",
    "swappiness:10",
]


@pytest.fixture(scope="module")
def machine(machines: Machines) -> Iterator[Machine]:
    found = machines.make("vm3", image=image("tuned", "tuned-ppd"))
    found.start()
    found.ssh("systemctl is-system-running --wait || systemctl --failed >&2")
    yield found
    machines.remove("vm3")


@pytest.fixture(scope="module")
def lab(machine: Machine, machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return machines.lab(tmp_path_factory.mktemp("tuning"), machine)


@pytest.fixture(scope="module")
def before(machine: Machine) -> str:
    """As Debian made it. On a busy machine the guest's tuned may need more than systemd's 90 s for its first start."""
    machine.ssh("for i in 1 2 3; do systemctl start tuned-ppd && break; done; systemctl is-active tuned-ppd")
    return machine.ssh(STATE)


def run(lab: Lab, *flags: str, trace: Path | None = None) -> Run:
    return lab.pyinfra("-y", "--json", *flags, str(lab.inventory), "tests/vm/tuning_only.py", trace=trace)


def test_tuned_ppd_sets_a_profile_of_its_own(machine: Machine, before: str) -> None:
    """Or else the rest proves nothing."""
    machine.ssh("tuned-adm profile accelerator-performance")
    assert "dirty_ratio:40" in machine.ssh(VALUES).splitlines()
    machine.ssh("systemctl restart tuned-ppd")
    assert machine.ssh(PROFILE).strip() == "balanced"
    assert machine.ssh(STATE) == before


def test_the_profile_becomes_active_and_tuned_agrees(lab: Lab, machine: Machine) -> None:
    done = run(lab).ok()
    assert (done.totals["success"], done.totals["error"]) == (1, 0)
    assert machine.ssh("tuned-adm active").splitlines()[0] == "Current active profile: halofleet"
    assert machine.ssh(VALUES).splitlines() == OURS
    assert "Verification succeeded" in machine.ssh(
        "tuned-adm verify --ignore-missing; tail -n 3 /var/log/tuned/tuned.log"
    )


def test_nothing_starts_tuned_ppd_again(machine: Machine) -> None:
    """GNOME asks for it over D-Bus."""
    ask = "busctl get-property org.freedesktop.UPower.PowerProfiles /org/freedesktop/UPower/PowerProfiles"
    said = machine.ssh(f"{ask} org.freedesktop.UPower.PowerProfiles ActiveProfile 2>&1 || true")
    assert "masked" in said, said
    assert machine.ssh("systemctl is-active tuned-ppd || true").strip() == "inactive"
    assert machine.ssh(PROFILE).strip() == "halofleet"


def test_a_second_run_is_one_look_and_changes_nothing(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    seen = machine.ssh(STATE)
    done = run(lab, trace=tmp_path / "trace").ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert done.commands["vm3"] == 1
    assert machine.ssh(STATE) == seen


def test_a_reboot_and_an_update_keep_it(lab: Lab, machine: Machine) -> None:
    machine.ssh("dpkg-reconfigure tuned tuned-ppd")  # runs what an update runs
    machine.reboot()
    machine.ssh("systemctl is-system-running --wait || systemctl --failed >&2")
    assert machine.ssh(VALUES).splitlines() == OURS
    assert machine.ssh("systemctl is-active tuned tuned-ppd || true").split() == ["active", "inactive"]
    assert run(lab).ok().totals["success"] == 0


def test_the_undo_gives_it_back(lab: Lab, machine: Machine, before: str) -> None:
    run(lab, "--data", "undo=yes").ok()
    assert machine.ssh(STATE) == before
    assert run(lab, "--data", "undo=yes").ok().totals["success"] == 0
