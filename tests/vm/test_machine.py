"""The machines are what the tests of this tier take them for: Debian's kernel, its GRUB, reboots, a menu."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.harness import Lab
from tests.vm.harness import Machines
from tests.vm.machine import Machine

PAGES = "cat /sys/module/ttm/parameters/pages_limit"
DROP_IN = "/etc/default/grub.d/50-test.cfg"


@pytest.fixture(scope="module")
def machine(machines: Machines) -> Iterator[Machine]:
    found = machines.make("vm1")
    found.start()
    yield found
    machines.remove("vm1")


@pytest.fixture(scope="module")
def lab(machine: Machine, machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return machines.lab(tmp_path_factory.mktemp("vm"), machine)


def plant(machine: Machine, argument: str) -> None:
    machine.ssh(f"echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {argument}\"' >{DROP_IN} && update-grub")


def test_it_is_a_debian_that_booted_through_grub(machine: Machine) -> None:
    assert machine.ssh("systemctl is-system-running --wait || systemctl --failed >&2").strip() == "running"
    assert "BOOT_IMAGE=/boot/vmlinuz-" in machine.ssh("cat /proc/cmdline")
    assert machine.ssh("hostname").strip() == "vm1"
    assert int(machine.ssh(PAGES)) > 0
    assert machine.ssh("cat /etc/default/grub") == machine.ssh("cat /usr/share/grub/default/grub")


def test_pyinfra_logs_in_and_reboots_it(lab: Lab, machine: Machine) -> None:
    release = machine.ssh("uname -r").strip()
    assert release in lab.pyinfra("-y", str(lab.inventory), "exec", "--", "uname", "-r").ok().err
    up = "$(cut -d. -f1 /proc/uptime)"
    enough = 2 * int(machine.ssh(f"echo {up}")) + 20  # see reboot_only.py
    machine.ssh(f"until [ {up} -ge {enough} ]; do sleep 1; done")
    before, boots = machine.boot_id(), machine.boots
    lab.pyinfra("-y", str(lab.inventory), "tests/vm/reboot_only.py").ok()
    assert machine.boot_id() != before
    assert machine.boots == boots + 1


def test_arguments_and_options_arrive_after_a_reboot(machine: Machine) -> None:
    machine.ssh("echo 'options ttm pages_limit=131072' >/etc/modprobe.d/test.conf")
    machine.reboot()
    assert int(machine.ssh(PAGES)) != 131072, "the initramfs has ttm, and it was not made again"
    machine.ssh("update-initramfs -u")
    machine.reboot()
    assert int(machine.ssh(PAGES)) == 131072
    plant(machine, "ttm.pages_limit=262144")
    machine.reboot()
    assert "ttm.pages_limit=262144" in machine.ssh("cat /proc/cmdline")
    assert int(machine.ssh(PAGES)) == 262144, "the command line wins"


def test_another_entry_is_chosen_where_the_first_one_does_not_come_up(machine: Machine) -> None:
    cfg = machine.ssh("cat /boot/grub/grub.cfg")
    (entry,) = re.findall(r"^menuentry 'Debian GNU/Linux' .*?^}$", cfg, re.MULTILINE | re.DOTALL)
    entry = entry.replace("'Debian GNU/Linux'", "'as it was'", 1)
    machine.ssh(f"cat >/boot/grub/custom.cfg <<'END'\nsubmenu 'older' {{\n{entry}\n}}\nEND")
    plant(machine, "mem=64M")
    machine.ssh("systemctl reboot")
    machine.wait_console("Kernel panic")
    machine.kill()
    machine.start(entry="older>as it was")
    assert "mem=64M" not in machine.ssh("cat /proc/cmdline")
    machine.ssh(f"rm {DROP_IN} && update-grub")


def test_it_stays_off_when_it_is_shut_down(machine: Machine) -> None:
    boots = machine.boots
    machine.stop()
    assert not machine.running
    assert machine.boots == boots
    machine.start()
