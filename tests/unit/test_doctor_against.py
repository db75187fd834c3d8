"""What stands against setting a box up: judged by what it will boot, not by what it booted."""

from __future__ import annotations

from roles.doctor.judge import UNKNOWN, against
from roles.doctor.patient import Expected
from tests.unit.doctor_boxes import booted, box, rules

MEANT_MIB = "root=/dev/sda1 ttm.pages_limit=122880"
NEXT = "root=/dev/sda1 ttm.pages_limit=31457280"


def test_a_line_that_the_next_boot_is_rid_of_stands_against_nothing() -> None:
    assert "pages_limit too small" in rules(against(booted(MEANT_MIB), "halo1", UNKNOWN))
    mended = booted(MEANT_MIB, f'grub /etc/default/grub: GRUB_CMDLINE_LINUX="{NEXT}"')
    assert "pages_limit too small" not in rules(against(mended, "halo1", UNKNOWN))


def test_a_line_that_the_next_boot_will_have_stands_against_it() -> None:
    broken = booted(NEXT, f'grub /etc/default/grub: GRUB_CMDLINE_LINUX="{MEANT_MIB}"')
    assert "pages_limit too small" in rules(against(broken, "halo1", UNKNOWN))


def test_the_operating_system_is_preflights_own_to_judge_and_what_is_well_is_not_said() -> None:
    found = against(booted(NEXT, "os fedora-43"), "halo1", Expected(os="debian-13"))
    assert "os" not in rules(found)
    assert not [finding for finding in found if finding.severity == "ok"]


def test_a_limit_that_the_role_kernel_writes_is_that_roles_to_judge() -> None:
    """Ours, from before the BIOS took 64 GB: cluster.py computes it anew, so the doctor must not stop it."""
    less = booted(NEXT, f'grub /etc/default/grub: GRUB_CMDLINE_LINUX="{NEXT}"', "MemTotal 65000000")
    assert "pages_limit above RAM" in rules(against(less, "halo1", UNKNOWN))
    for wanted in (Expected(backend="vulkan"), Expected(backend="cpu"), Expected(backend="cpu", gpu=96)):
        assert "pages_limit above RAM" not in rules(against(less, "halo1", wanted))
    assert "pages_limit above RAM" not in rules(against(less, "halo1", Expected(backend="cpu", reserve=8)))


def test_what_the_gpu_alone_needs_stops_no_box_that_computes_without_it() -> None:
    lines = ("os ubuntu-24.04", "kernel 6.8.0-51-generic", "rocm 7.2.0", "gpu 0000:c5:00.0", "gpu.driver vfio-pci")
    without = against(box(*lines), "halo1", Expected(backend="cpu"))
    assert [finding.rule for finding in without if finding.severity == "stop"] == []
    assert "ROCm and kernel" in rules(without), "it is named"
    found = against(box(*lines), "halo1", Expected(backend="rocm"))
    assert {"ROCm and kernel", "minimum kernel", "GPU without its driver"} <= {
        finding.rule for finding in found if finding.severity == "stop"
    }
