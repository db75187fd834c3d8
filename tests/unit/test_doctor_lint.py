"""The linter for kernel parameters, on real boxes' lines and on every line of the guides that is known to be wrong."""

from __future__ import annotations

import pytest

from roles.doctor.box import Box
from roles.doctor.lint import lint
from roles.doctor.lint_checks import CHECKS
from roles.doctor.lint_checks import rules as data
from tests.unit.doctor_boxes import booted, box, real, rules

TIMEOUT = "amdgpu.lockup_timeout=10000,60000,10000,10000"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ms-s1-max-ubuntu-26.04", {"iommu off", "gttsize and pages_limit", "lockup_timeout"}),
        ("nobara-legacy-rocm-build-5824", {"page_pool_size", "cwsr_enable=0"}),
        ("debian-13-legacy-rocm-build-5562", {"gttsize and pages_limit", "page_pool_size"}),
        ("noamsto-nix-amd-ai-42", {"page_pool_size", "lockup_timeout"}),
        ("zbook-ultra-strix-halo-optimizations",
         {"pages_limit starves the system", "gttsize and pages_limit", "iommu=pt"}),
        ("bosgame-m5-thefrontierlab", {"pages_limit above RAM", "gttsize and pages_limit", "iommu off"}),
        ("modinfo-invokeai-9539", set()),
        ("amd-ttm-default", set()),
        ("ubuntu-192gb-capped", {"pages_limit above RAM"}),
    ],
)  # fmt: skip
def test_real_boxes(name: str, found: set[str]) -> None:
    assert rules(lint(real(name), "box")) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        # AMD, and the sizes of noamsto, hogeheer, sypherin, adamskrodzki and nix-strix-halo, on a box of 128 GB
        ("ttm.pages_limit=26214400", set()),
        ("ttm.pages_limit=25165824", set()),
        ("ttm.pages_limit=28311552", set()),
        ("ttm.pages_limit=20971520", set()),
        ("ttm.pages_limit=31457280", {"pages_limit starves the system"}),
        # kyuz0, jesniels, nerds-run, dellathefella
        ("ttm.pages_limit=32505856 amdgpu.gttsize=126976",
         {"pages_limit starves the system", "gttsize and pages_limit"}),
        # visorcraft: 128 of 128 GiB
        ("amdgpu.gttsize=131072 ttm.pages_limit=33554432", {"pages_limit above RAM", "gttsize and pages_limit"}),
        # hogeheer's values disagree among themselves
        ("amdgpu.gttsize=117760 ttm.pages_limit=26214400", {"gttsize against pages_limit"}),
        ("amdgpu.gttsize=x ttm.pages_limit=25165824", {"gttsize against pages_limit"}),
        ("amdgpu.gttsize=60416", {"gttsize deprecated"}),
        ("amdgpu.gttsize=-1", set()),
        ("ttm.pages_limit=25165824 ttm.page_pool_size=25165824", {"page_pool_size"}),
        ("ttm.page_pool_size=0", set()),
        # a number that means something else
        ("ttm.pages_limit=112G", {"pages_limit not a number"}),
        ("ttm.pages_limit=114688", {"pages_limit too small"}),
        # dellathefella appends
        ("ttm.pages_limit=25165824 quiet ttm.pages_limit=26214400", {"parameter given twice"}),
        ("console=tty0 console=ttyS0 rd.luks.uuid=a rd.luks.uuid=b iommu=soft iommu=merge", set()),
        # IOMMU
        ("amd_iommu=pt", {"amd_iommu=pt"}),
        ("iommu=pt", {"iommu=pt"}),
        ("amd_iommu=off", {"iommu off"}),
        ("amd_iommu=on", set()),
        # folklore
        ("amdgpu.cwsr_enable=0", {"cwsr_enable=0"}),
        ("amdgpu.cwsr_enable=1", set()),
        ("amdgpu.gpu_recovery=1", {"gpu_recovery"}),
        ("amdgpu.mcbp=1", {"mcbp"}),
        ("amdgpu.runpm=0", {"runpm"}),
        ("amdgpu.ppfeaturemask=0xffff7fff", {"ppfeaturemask"}),
        ("amdgpu.dcdebugmask=0x600", {"dcdebugmask"}),
        ("pci=realloc pcie_aspm=off", {"pci=realloc", "pcie_aspm"}),
        ("HSA_OVERRIDE_GFX_VERSION=11.0.0", {"environment on the command line"}),
        # what stands behind -- is init's; dashes are underscores to the kernel; quotes
        ("quiet -- amd_iommu=pt", set()),
        ("ttm.pages-limit=112G", {"pages_limit not a number"}),
        ('dyndbg="file a +p" amd_iommu="pt"', {"amd_iommu=pt"}),
    ],
)  # fmt: skip
def test_lines(line: str, found: set[str]) -> None:
    assert rules(lint(booted(line), "box")) == found


@pytest.mark.parametrize(
    ("kernel", "line", "found"),
    [
        ("7.0.0-38-generic", "", True),
        ("7.1.9-200.fc44.x86_64", "quiet", True),
        ("7.0.0-38-generic", TIMEOUT, False),
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=20000", False),  # LLMKube
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=-1", False),
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=2000", True),
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=10000,2000", True),
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=0", True),
        ("7.0.0-38-generic", "amdgpu.lockup_timeout=many", True),
        ("6.19.12-200.fc43.x86_64", "", False),
        ("6.17.0-19-generic", "", False),
    ],
)
def test_lockup_timeout(kernel: str, line: str, found: bool) -> None:
    assert ("lockup_timeout" in rules(lint(booted(line or "ro", kernel=kernel), "box"))) is found


def test_lockup_timeout_of_modprobe_counts() -> None:
    option = "modprobe /etc/modprobe.d/amdgpu.conf: options amdgpu lockup_timeout=10000,60000,10000,10000"
    assert rules(lint(booted("ro", option, kernel="7.0.0"), "box")) == set()


def test_a_box_with_amdttm() -> None:
    found = lint(booted("ttm.pages_limit=25165824", "module amdttm"), "box")
    assert [(finding.rule, finding.severity) for finding in found] == [("ttm beside amdttm", "stop")]
    assert rules(lint(booted("amdttm.pages_limit=25165824"), "box")) == {"amdttm without amdttm"}
    assert rules(lint(booted("amdttm.pages_limit=25165824", "module amdttm"), "box")) == set()


def test_swap_counts_for_the_system() -> None:
    line = "ttm.pages_limit=31457280"
    assert rules(lint(booted(line, "SwapTotal 8388608"), "box")) == set()


DEBIAN = (
    'grub /etc/default/grub: GRUB_CMDLINE_LINUX_DEFAULT="quiet"',
    'grub /etc/default/grub: GRUB_CMDLINE_LINUX=""',
    'grub /etc/default/grub.d/90-gpu.cfg: GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT amd_iommu=pt"',
)


def test_the_line_that_will_boot() -> None:
    (finding,) = lint(booted("ro quiet", *DEBIAN), "box")
    assert finding.rule == "amd_iommu=pt"
    assert "will boot with (/etc/default/grub)" in finding.seen


def test_what_both_lines_have_is_said_once() -> None:
    (finding,) = lint(booted("ro amd_iommu=pt", *DEBIAN), "box")
    assert "booted with (/proc/cmdline) and will boot with (/etc/default/grub)" in finding.seen


FEDORA = (
    # grubby's own output, grubby(8): kernel, args, root, initrd, title, id
    "grubby index=0",
    'grubby kernel="/boot/vmlinuz-6.19.12-200.fc43.x86_64"',
    'grubby args="ro rhgb quiet amdgpu.gttsize=126976"',
    'grubby root="UUID=d2df2b8c-0000-4000-8000-000000000000"',
)


def test_grubby_says_what_boots_next() -> None:
    found = booted("ro", *FEDORA, DEBIAN[0])
    assert found.next_kernel == "6.19.12-200.fc43.x86_64"
    assert [line.when for line in found.lines] == ["booted with", "will boot with", "kernels to come get"]
    assert rules(lint(found, "box")) == {"gttsize deprecated"}


def test_the_next_kernel_of_grub_is_the_newest() -> None:
    kernels = [f"installed_kernel 7.0.0-{number}-generic" for number in (9, 39, 38)]
    assert booted("ro", *kernels).next_kernel == "7.0.0-39-generic"
    assert booted("ro", *kernels, "grub /etc/default/grub: GRUB_DEFAULT=saved").next_kernel == ""
    seen = lint(booted("ro", *kernels, DEBIAN[0]), "box")
    assert [finding.seen.split(",")[0] for finding in seen] == ["no amdgpu.lockup_timeout under 7.0.0-39-generic"]


def test_a_kernel_cmdline_without_root() -> None:
    (finding,) = lint(booted("ro root=/dev/sda1", "kernel_cmdline ttm.pages_limit=25165824"), "box")
    assert (finding.rule, finding.severity) == ("kernel/cmdline without root", "stop")
    assert lint(booted("ro", "kernel_cmdline root=/dev/sda1 ro"), "box") == []


def test_two_places() -> None:
    option = "modprobe /etc/modprobe.d/ttm.conf: options ttm pages_limit=26214400"
    assert rules(lint(booted("ttm.pages_limit=25165824", option), "box")) == {"two places for one limit"}
    assert rules(lint(booted("ttm.pages_limit=26214400", option), "box")) == set()
    assert rules(lint(booted("quiet", option), "box")) == set()


def test_a_containers_booted_line_is_its_hosts() -> None:
    assert lint(booted("amd_iommu=pt", kernel="7.0.0"), "box", kernel=False) == []


def test_an_empty_box() -> None:
    assert lint(Box(), "box") == []
    assert lint(box("kernel 7.0.0"), "box") == []


def test_every_rule_has_its_words_and_every_check_a_rule() -> None:
    entries = data()["rules"]
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry["severity"] in ("ok", "warn", "stop")
        assert all(entry[key] for key in ("effect", "expected", "fix", "source"))
        assert ("check" in entry) != ("parameter" in entry)
    assert {entry["check"] for entry in entries if "check" in entry} == set(CHECKS)
