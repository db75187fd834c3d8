"""kernel: the ceiling, the arguments, the order of reboots, and what calls for one. Pure."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.kernel.boot import Entry, Line, Mapping, Seen, clashes, next_line, waits_for_somebody
from roles.kernel.boot_change import new_sources
from roles.kernel.facts import KernelStates
from roles.kernel.plan import PAGES_PER_GIB, Kernel, data, judge, major, wanted
from roles.kernel.reboot import pending, unproven

GIB = PAGES_PER_GIB
KERNEL = Kernel("halo1", IPv4Address("10.0.0.1"), True, None, 8 * GIB, 6 * GIB, False, "untouched", True, ("halo1",))
BOX = Seen(memory=32938393, kernels=("6.18.9-200.fc43",), gtt=0, loader="grub", entries=(Entry("", ("quiet",)),))
"""MemTotal of 125.65 GiB: a box of 128 GB (amd-ttm's output)."""


def test_the_ceiling_is_what_is_there_less_the_reserve_in_whole_gib() -> None:
    assert wanted(KERNEL, BOX).arguments == (f"ttm.pages_limit={117 * GIB}",)
    assert wanted(replace(KERNEL, reserve=16 * GIB), BOX).pages == 109 * GIB
    assert wanted(replace(KERNEL, gpu=96 * GIB), BOX).arguments == ("ttm.pages_limit=25165824",)


@given(memory=st.integers(0, 60_000_000), reserve=st.integers(1, 192), gpu=st.none() | st.integers(1, 192))
def test_what_is_not_refused_leaves_the_host_its_least(memory: int, reserve: int, gpu: int | None) -> None:
    kernel = replace(KERNEL, reserve=reserve * GIB, gpu=gpu and gpu * GIB)
    seen = replace(BOX, memory=memory)
    pages = wanted(kernel, seen).pages
    assert pages is not None
    fits = 0 < pages <= memory - 6 * GIB
    assert (judge(kernel, seen) == []) is fits


@pytest.mark.parametrize(
    ("kernels", "late"),
    [
        (("6.19.12",), False),
        (("7.0.0-38-generic",), True),
        (("6.19.12", "7.1.9-200.fc44"), True),
        (("0-rescue",), False),
    ],
)
def test_lockup_timeout_where_any_kernel_needs_it(kernels: tuple[str, ...], late: bool) -> None:
    arguments = wanted(KERNEL, replace(BOX, kernels=kernels)).arguments
    assert ("amdgpu.lockup_timeout=10000,60000,10000,10000" in arguments) is late


def test_iommu_is_a_choice_and_never_amd_iommu_pt() -> None:
    quiet = replace(BOX, gtt=None)
    assert wanted(KERNEL, quiet).arguments == ()
    assert wanted(replace(KERNEL, iommu="off"), quiet).arguments == ("amd_iommu=off",)
    assert wanted(replace(KERNEL, iommu="pt"), quiet).arguments == ("iommu=pt",)


def test_nothing_deprecated_is_ever_written_and_every_value_has_a_source() -> None:
    everything = " ".join(wanted(replace(KERNEL, iommu="pt"), replace(BOX, kernels=("7.0",))).arguments)
    assert "gttsize" not in everything
    assert "page_pool_size" not in everything
    entries = [entry for name, entry in data().items() if name != "by_hand"] + list(data()["by_hand"].values())
    assert all(entry["sources"] for entry in entries)


def test_major() -> None:
    assert [major(text) for text in ("7.0.0-38-generic", "6.12.48+deb13-amd64", "rescue")] == [7, 6, 0]


def test_a_key_that_is_written_with_dashes_clashes_too() -> None:
    seen = replace(BOX, lines=(Line("/etc/default/grub", 6, ("amdgpu.lockup-timeout=20000", "quiet")),))
    found = clashes(seen, ("amdgpu.lockup_timeout=10000,60000,10000,10000",))
    assert [(line.number, word) for line, word, _ in found] == [(6, "amdgpu.lockup-timeout=20000")]


def test_pending_is_what_runs_against_what_will_run() -> None:
    want = wanted(KERNEL, BOX)
    limit = f"ttm.pages_limit={117 * GIB}"
    assert pending(replace(BOX, cmdline="quiet"), want) == [limit]
    assert pending(replace(BOX, cmdline=f"quiet {limit}"), want) == []
    running = replace(BOX, cmdline=f"quiet {limit}", parameters={"ttm.pages_limit": "16469033"})
    assert pending(running, want) == [f"{limit}; 16469033 runs"]
    gone = replace(BOX, cmdline=f"quiet iommu=pt {limit}", ever=("iommu=pt",))
    assert pending(gone, want) == ["no iommu"]
    assert pending(replace(gone, ever=()), want) == [], "somebody else's"


def test_next_line_keeps_everybodys_order() -> None:
    seen = replace(BOX, entries=(Entry("", ("ro", "a=1", "ttm.pages_limit=1", "quiet")),), ours=("ttm.pages_limit=1",))
    assert next_line(seen, ("ttm.pages_limit=2",)) == ("ro", "a=1", "quiet", "ttm.pages_limit=2")


def test_proven() -> None:
    want = wanted(KERNEL, BOX)
    cmdline = f"quiet {want.arguments[0]}"
    parameters = {"ttm.pages_limit": str(117 * GIB)}
    now = replace(BOX, boot_id="b", cmdline=cmdline, parameters=parameters, gtt=117 << 30)
    assert unproven(BOX, now, want) == ""
    assert unproven(now, now, want) == "it still runs the boot that it ran"
    assert "ttm is not loaded" in unproven(BOX, replace(now, parameters={}), want)
    assert "mem_info_gtt_total" in unproven(BOX, replace(now, gtt=62 << 30), want)
    capped = replace(now, memory=116 * GIB, gtt=116 << 30)
    assert unproven(BOX, capped, want) == "", "newer kernels cap it at the memory that there is"


def test_who_waits_at_boot() -> None:
    assert waits_for_somebody(Seen()) == ""
    assert waits_for_somebody(Seen(crypts=(Mapping("luks-1", True, "none", "discard"),))) == "luks-1"
    assert waits_for_somebody(Seen(crypts=(Mapping("swap", False, "/dev/urandom", "swap"),))) == ""


def test_the_source_of_new_kernels_keeps_its_text() -> None:
    text = 'A=1\nGRUB_CMDLINE_LINUX="rhgb  quiet"\nB=2\n'
    seen = replace(BOX, sources={"/etc/default/grub": text})
    made = new_sources(seen, ("x=1",))
    assert made == {"/etc/default/grub": text.replace('quiet"', 'quiet x=1"')}
    again = replace(BOX, sources=made, ours=("x=1",))
    assert new_sources(again, ("x=2",)) == {"/etc/default/grub": text.replace('quiet"', 'quiet x=2"')}
    both = replace(seen, sources={"/etc/default/grub": text, "/etc/kernel/cmdline": "root=UUID=1 ro\n"})
    assert new_sources(both, ("x=1",)) == {"/etc/kernel/cmdline": "root=UUID=1 ro x=1\n"}


def test_grubbys_output() -> None:
    """rhboot/grubby issue 55, grubby-8.40-52.fc35."""
    info = """\
index=1
kernel="/boot/vmlinuz-5.13.0-0.rc3.25.fc35.x86_64"
args="ro no_timer_check net.ifnames=0 console=tty1 console=ttyS0,115200n8"
root="UUID=ec0ebe42-73a3-441f-9910-dce10ec8253e"
initrd="/boot/initramfs-5.13.0-0.rc3.25.fc35.x86_64.img"
title="Fedora (5.13.0-0.rc3.25.fc35.x86_64) 35 (Cloud Edition Prerelease)"
id="4ce7a933859f4a76a5111fba2d010ca3-5.13.0-0.rc3.25.fc35.x86_64"
"""
    seen = KernelStates().process(["loader grubby", *(f"default {line}" for line in info.splitlines())])
    name = "/boot/loader/entries/4ce7a933859f4a76a5111fba2d010ca3-5.13.0-0.rc3.25.fc35.x86_64.conf"
    words = ("ro", "no_timer_check", "net.ifnames=0", "console=tty1", "console=ttyS0,115200n8")
    assert seen.entries == (Entry(name, words),)


def test_grubbys_output_with_tuneds_variables() -> None:
    """oamg/leapp-repository pull request 1302; the title is cut off there, and the id is not in it."""
    info = """\
index=0
kernel="/boot/vmlinuz-5.14.0-518.el9.x86_64"
args="ro console=ttyS0,115200 rhgb quiet crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M $tuned_params net.ifnames=0"
root="/dev/mapper/rhel_ibm--p8--kvm--03--guest--02-root"
initrd="/boot/initramfs-5.14.0-518.el9.x86_64.img $tuned_initrd"
title="Red Hat Enterprise"
id="4ce7a933859f4a76a5111fba2d010ca3-5.14.0-518.el9.x86_64"
"""
    seen = KernelStates().process(["loader grubby", *(f"default {line}" for line in info.splitlines())])
    assert seen.entries[0].words[-2:] == ("$tuned_params", "net.ifnames=0")
    assert next_line(seen, ("x=1",))[-3:] == ("$tuned_params", "net.ifnames=0", "x=1")


def test_grubby_puts_quotes_around_quotes() -> None:
    """Seen with grubby-bls 8.40-68."""
    lines = ['default args="ro dyndbg="file x.c +p""', 'default id="m-1-1"']
    assert KernelStates().process(["loader grubby", *lines]).entries[0].words == ("ro", 'dyndbg="file x.c +p"')


def test_grubby_without_a_default_entry() -> None:
    assert KernelStates().process(["loader grubby", "options /boot/loader/entries/m-1-1.conf ro"]).entries == ()


def test_ours_stays_where_the_memory_is_just_beside_a_whole_gib() -> None:
    """Else the box would be rebooted whenever MemTotal moves over it."""
    ours = (f"ttm.pages_limit={117 * GIB}",)
    for moved in (-1000, 1000, GIB - 1000, GIB + 1000):
        assert wanted(KERNEL, replace(BOX, memory=125 * GIB + moved, ours=ours)).pages == 117 * GIB
    assert wanted(replace(KERNEL, reserve=9 * GIB), replace(BOX, ours=ours)).pages == 116 * GIB
    assert wanted(replace(KERNEL, reserve=7 * GIB), replace(BOX, ours=ours)).pages == 118 * GIB
    least = replace(KERNEL, reserve=6 * GIB)
    assert wanted(least, replace(BOX, memory=123 * GIB - 1, ours=ours)).pages == 116 * GIB, "what must stay stays"
    assert wanted(KERNEL, replace(BOX, ours=("ttm.pages_limit=",))).pages == 117 * GIB, "half a line"


def test_a_gpu_whose_driver_comes_late_is_waited_for() -> None:
    want = wanted(KERNEL, BOX)
    now = replace(BOX, boot_id="b", cmdline=f"quiet {want.arguments[0]}", gtt=None)
    assert "driver has not started" in unproven(BOX, now, want)
    assert unproven(replace(BOX, gtt=None), now, want) == "", "there was none before"


@pytest.mark.parametrize("text", ["", "# all of it\n", "quiet\n"])
def test_no_line_of_ours_alone_for_new_kernels(text: str) -> None:
    assert new_sources(replace(BOX, sources={"/etc/kernel/cmdline": text}), ("x=1",)) == {}


@pytest.mark.parametrize(("theirs", "written"), [("20000", False), ("10000,60000,10000,10000", False), ("2000", True)])
def test_somebody_elses_lockup_timeout_does_where_it_is_long_enough(theirs: str, written: bool) -> None:
    """LLMKube writes 20000."""
    line = Line("/etc/default/grub", 3, (f"amdgpu.lockup_timeout={theirs}",))
    seen = Seen(memory=32 * PAGES_PER_GIB, kernels=("7.0.0-38-generic",), gtt=1, lines=(line,))
    kernel = Kernel("halo1", IPv4Address("10.43.0.11"), True, None, 8, 6, True, "untouched", True, ("halo1",))
    assert any(word.startswith("amdgpu.lockup_timeout=") for word in wanted(kernel, seen).arguments) is written
