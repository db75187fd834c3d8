"""The kernel role on real kernels: a controller that boots through GRUB, and a worker that a hypervisor boots.

In this order: every boot is half a minute, so a test goes on where the one before it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.harness import Lab, Run
from tests.vm.harness import Machines
from tests.vm.machine import Machine
from tests.vm.menu import entries
from tests.vm.outages import sampled

PAGES = "262144"
"""As in kernel_only.py."""
MEMORY = 1536
"""MiB: a ceiling above it is refused."""
BAD = "mem=64M"
"""No kernel comes up with it."""
LIMIT = "cat /sys/module/ttm/parameters/pages_limit"
CMDLINE = "cat /proc/cmdline"
FILES = (
    "find /etc/default /etc/grub.d /etc/modprobe.d /etc/kernel /boot -type f ! -name 'initrd*' -exec sha256sum {} + "
    "| sort -k 2"
)
"""All that a boot depends on, but the initramfs: it is never the same twice."""
KEPT = "find /var/lib/halofleet/kernel -type f -exec sha256sum {} + 2>&1 | sort"
INITRAMFS = "sha256sum /boot/initrd.img-*"
WITHOUT = "Without the kernel arguments of halofleet"


@dataclass(frozen=True)
class Before:
    """What a machine was before halofleet."""

    cmdline: str
    limit: str
    files: str


@dataclass(frozen=True)
class Pair:
    lab: Lab
    controller: Machine
    worker: Machine
    before: dict[str, Before]

    @property
    def both(self) -> tuple[Machine, Machine]:
        return self.controller, self.worker

    def run(self, *flags: str) -> Run:
        return self.lab.pyinfra("-y", "--json", *flags, str(self.lab.inventory), "tests/vm/kernel_only.py")


@pytest.fixture(scope="module")
def pair(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    controller, worker = machines.make("vm1", memory=MEMORY), machines.make("vm2", memory=MEMORY, direct=True)
    start(controller, worker)
    controller.ssh("update-grub")
    worker.ssh("rm -r /boot/grub")
    before = {each.name: Before(each.ssh(CMDLINE), each.ssh(LIMIT), each.ssh(FILES)) for each in (controller, worker)}
    yield Pair(machines.lab(tmp_path_factory.mktemp("kernel"), controller, worker), controller, worker, before)
    machines.remove("vm1")
    machines.remove("vm2")


def start(*machines: Machine) -> None:
    """All at once."""
    for machine in machines:
        machine.power_on()
    for machine in machines:
        machine.wait_up()


def reboot(*machines: Machine) -> None:
    boots = [machine.boot_id() for machine in machines]
    for machine in machines:
        machine.ssh("systemctl reboot")
    for machine, boot in zip(machines, boots, strict=True):
        machine.wait_up(boot)


def test_the_machines_are_what_they_are_taken_for(pair: Pair) -> None:
    for machine in pair.both:
        assert machine.ssh("systemctl is-system-running --wait || systemctl --failed >&2").strip() == "running"
        assert machine.ssh("hostname").strip() == machine.name
        assert pair.before[machine.name].limit.strip() not in ("", PAGES)
    assert "BOOT_IMAGE=/boot/vmlinuz-" in pair.before["vm1"].cmdline
    assert "BOOT_IMAGE" not in pair.before["vm2"].cmdline
    assert "/ttm.ko" in pair.worker.ssh("lsinitramfs /boot/initrd.img-$(uname -r)"), "an option alone would arrive"


def test_the_worker_reboots_first_and_the_controller_when_it_is_back(pair: Pair) -> None:
    boots = [machine.boot_id() for machine in pair.both]
    with sampled(*pair.both) as samples:
        done = pair.run().ok()
    assert done.totals["error"] == 0
    for machine, boot in zip(pair.both, boots, strict=True):
        assert machine.boot_id() != boot
    assert (False, False) not in samples
    worker_down = [number for number, (_, worker) in enumerate(samples) if not worker]
    controller_down = [number for number, (controller, _) in enumerate(samples) if not controller]
    assert worker_down
    assert controller_down
    assert worker_down[-1] < controller_down[0]


def test_the_argument_is_on_the_command_line(pair: Pair) -> None:
    line = pair.controller.ssh(CMDLINE)
    assert f"ttm.pages_limit={PAGES}" in line.split()
    assert pair.controller.ssh(LIMIT).strip() == PAGES
    assert set(pair.before["vm1"].cmdline.split()) <= set(line.split()), "nothing that was there is lost"


def test_the_option_is_in_the_initramfs_where_the_command_line_is_not_the_boxs_own(pair: Pair) -> None:
    assert pair.worker.ssh(CMDLINE) == pair.before["vm2"].cmdline
    assert pair.worker.ssh(LIMIT).strip() == PAGES


def test_a_second_run_changes_nothing_and_reboots_nothing(pair: Pair) -> None:
    def state() -> list[str]:
        return [machine.ssh(f"{FILES}; {INITRAMFS}; {KEPT}") + machine.boot_id() for machine in pair.both]

    before = state()
    done = pair.run().ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert state() == before


def test_from_a_bad_argument_the_menu_leads_back(pair: Pair) -> None:
    machine = pair.controller
    files = str(pair.lab.inventory), "tests/vm/kernel_only.py"
    running = pair.lab.start("-y", "--limit", "vm1", "--data", f"bad={BAD}", *files)
    try:
        machine.wait_console("Kernel panic")
        machine.kill()
        machine.start(entry=next(path for path in machine.menu() if path.startswith(f"{WITHOUT}>")))
        line = machine.ssh(CMDLINE)
        output, _ = running.communicate(timeout=300)
    finally:
        running.kill()
    assert BAD not in line
    assert "ttm.pages_limit" not in line
    assert running.returncode == 1, output
    assert "vm1: it booted without" in output
    assert BAD in output


def test_the_undo_gives_it_back_byte_for_byte(pair: Pair) -> None:
    pair.lab.pyinfra("-y", "--json", str(pair.lab.inventory), "deploys/reset.py").ok()
    for machine in pair.both:
        assert machine.ssh(FILES) == pair.before[machine.name].files
        assert "No such file" in machine.ssh(KEPT)


def test_where_a_tool_fails_the_box_boots_as_before(pair: Pair) -> None:
    """The reboot at the end proves the undo too: that, and nothing else, was there before this run."""
    plants = {
        "vm1": ("/etc/grub.d/50_broken", "update-grub"),
        "vm2": ("/etc/initramfs-tools/hooks/broken", "update-initramfs"),
    }
    images = [machine.ssh(INITRAMFS) for machine in pair.both]
    for machine in pair.both:
        file, _ = plants[machine.name]
        machine.ssh(f"printf '#!/bin/sh\\n[ \"${{1-}}\" = prereqs ] || exit 1\\n' >{file} && chmod 755 {file}")
    done = pair.run()
    assert done.status == 1
    for machine in pair.both:
        file, tool = plants[machine.name]
        assert f"{tool} failed" in done.err
        assert file in done.err
        machine.ssh(f"rm {file}")
        assert machine.ssh(FILES) == pair.before[machine.name].files
    assert [machine.ssh(INITRAMFS) for machine in pair.both] == images
    reboot(*pair.both)
    for machine in pair.both:
        assert machine.ssh(CMDLINE) == pair.before[machine.name].cmdline
        # half of the memory that the kernel finds free, which is a page more or less from boot to boot
        assert int(machine.ssh(LIMIT)) == pytest.approx(int(pair.before[machine.name].limit), abs=100)


def test_a_new_kernel_boots_with_the_arguments(pair: Pair) -> None:
    machine = pair.controller
    alone = ("--limit", "vm1")
    boot, old = machine.boot_id(), machine.ssh("uname -r").strip()
    done = pair.run(*alone, "--data", "reboot=never").ok()
    assert "pending until it is rebooted" in done.err
    assert machine.boot_id() == boot
    machine.ssh("DEBIAN_FRONTEND=noninteractive dpkg --install /root/linux-image-*.deb")
    menu = machine.ssh("cat /boot/grub/grub.cfg")
    (new,) = {line.split()[1] for line in menu.splitlines() if line.split()[:1] == ["linux"]} - {f"/boot/vmlinuz-{old}"}
    machine.reboot()
    line = machine.ssh(CMDLINE).split()
    assert line[0] == f"BOOT_IMAGE={new}"
    assert f"ttm.pages_limit={PAGES}" in line
    assert [word for word in line if word.startswith("root=")] == [
        word for word in pair.before["vm1"].cmdline.split() if word.startswith("root=")
    ]
    assert any(path.startswith(f"{WITHOUT}>") and new.removeprefix("/boot/vmlinuz-") in path for path in entries(menu))
    files, boot = machine.ssh(FILES), machine.boot_id()
    done = pair.run(*alone).ok()
    assert (done.totals["success"], done.totals["error"]) == (0, 0)
    assert (machine.ssh(FILES), machine.boot_id()) == (files, boot)


def test_a_machine_stays_off_when_it_is_shut_down(pair: Pair) -> None:
    boots = pair.worker.boots
    pair.worker.stop()
    assert pair.worker.boots == boots
