"""A box whose root is encrypted: somebody has to be there when it boots, so the role leaves the reboot to them.

Real: LUKS, made by QEMU; the guest's own initramfs asks for the passphrase on the console at every boot.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.harness import Lab, Run
from tests.vm.harness import Machines
from tests.vm.image import image
from tests.vm.machine import Machine

PAGES = "65536"
"""As in kernel_only.py."""
CMDLINE = "cat /proc/cmdline"


@pytest.fixture(scope="module")
def machine(machines: Machines) -> Iterator[Machine]:
    found = machines.make("vm3", image=image("cryptsetup-initramfs", passphrase="open sesame"))
    found.start()
    yield found
    machines.remove("vm3")


@pytest.fixture(scope="module")
def lab(machine: Machine, machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return machines.lab(tmp_path_factory.mktemp("encrypted"), machine)


def run(lab: Lab) -> Run:
    return lab.pyinfra("-y", "--json", str(lab.inventory), "tests/vm/kernel_only.py")


def test_it_waited_for_its_passphrase(machine: Machine) -> None:
    assert "Please unlock disk root" in machine.console.read_text(errors="replace")
    assert machine.ssh("findmnt -no SOURCE /").strip() == "/dev/mapper/root"
    assert machine.ssh("lsblk -dnro TYPE /dev/mapper/root").strip() == "crypt"


def test_it_gets_its_arguments_but_no_reboot(lab: Lab, machine: Machine) -> None:
    boot = machine.boot_id()
    done = run(lab).ok()
    assert f"pending until it is rebooted: ttm.pages_limit={PAGES}" in done.err
    assert "root would wait for its passphrase" in done.err
    assert machine.boot_id() == boot
    assert f"ttm.pages_limit={PAGES}" in machine.ssh("grep -m 1 vmlinuz /boot/grub/grub.cfg").split()


def test_once_somebody_has_rebooted_it_nothing_is_left_to_do(lab: Lab, machine: Machine) -> None:
    machine.reboot()
    assert f"ttm.pages_limit={PAGES}" in machine.ssh(CMDLINE).split()
    boot = machine.boot_id()
    done = run(lab).ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert "pending" not in done.err
    assert machine.boot_id() == boot
