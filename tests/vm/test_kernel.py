"""The kernel role on a real kernel and a real GRUB: written, rebooted into, proven, left alone, given back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.harness import Lab, Run
from tests.vm.harness import Machines
from tests.vm.machine import Machine
from tests.vm.menu import entries

PAGES = "65536"
"""As in kernel_only.py."""
LIMIT = "cat /sys/module/ttm/parameters/pages_limit"
CONFIGURATION = "cat /boot/grub/grub.cfg /etc/default/grub; ls -A /etc/default/grub.d /etc/grub.d"


@pytest.fixture(scope="module")
def machine(machines: Machines) -> Iterator[Machine]:
    found = machines.make("vm2")
    found.start()
    yield found
    machines.remove("vm2")


@pytest.fixture(scope="module")
def lab(machine: Machine, machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return machines.lab(tmp_path_factory.mktemp("kernel"), machine)


@pytest.fixture(scope="module")
def before(machine: Machine) -> tuple[str, str]:
    """The command line and GRUB's files as Debian made them."""
    machine.ssh("update-grub")
    return machine.ssh("cat /proc/cmdline"), machine.ssh(CONFIGURATION)


def run(lab: Lab, *flags: str) -> Run:
    return lab.pyinfra("-y", "--json", *flags, str(lab.inventory), "tests/vm/kernel_only.py")


def test_the_argument_arrives_by_a_reboot_of_the_roles_own(lab: Lab, machine: Machine, before: tuple[str, str]) -> None:
    boot = machine.boot_id()
    done = run(lab).ok()
    assert done.totals["error"] == 0
    assert machine.boot_id() != boot
    words = machine.ssh("cat /proc/cmdline").split()
    assert f"ttm.pages_limit={PAGES}" in words
    assert machine.ssh(LIMIT).strip() == PAGES
    assert set(before[0].split()) <= set(words), "nothing that was there is lost"


def test_a_second_run_changes_nothing_and_reboots_nothing(lab: Lab, machine: Machine) -> None:
    boot, files = machine.boot_id(), machine.ssh(CONFIGURATION)
    done = run(lab).ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert machine.boot_id() == boot
    assert machine.ssh(CONFIGURATION) == files


def test_an_entry_boots_without_our_arguments(machine: Machine) -> None:
    menu = entries(machine.ssh("cat /boot/grub/grub.cfg"))
    machine.reboot(entry=next(path for path in menu if path.startswith("Without the kernel arguments of halofleet>")))
    assert "ttm.pages_limit" not in machine.ssh("cat /proc/cmdline")
    machine.reboot()
    assert machine.ssh(LIMIT).strip() == PAGES


def test_the_undo_gives_it_back_byte_for_byte(lab: Lab, machine: Machine, before: tuple[str, str]) -> None:
    run(lab, "--data", "undo=yes").ok()
    assert machine.ssh(CONFIGURATION) == before[1]
    machine.reboot()
    assert machine.ssh("cat /proc/cmdline") == before[0]
