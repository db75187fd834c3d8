"""The gate: every statement that sources make of a version is a case here, or is left open in the data file."""

from __future__ import annotations

import pytest

from roles.doctor.box import Box
from roles.doctor.gate import check, data, gate, judge_kernel
from tests.unit.doctor_boxes import GPU, box, real, rules

MES = "firmware MES feature version: 1, firmware version: "


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kyuz0-system-info", set()),
        ("nobara-legacy-rocm-build-5824", set()),
        ("ms-s1-max-ubuntu-26.04", set()),
        ("debian-13-legacy-rocm-build-5562", {"minimum kernel"}),  # 6.12
        ("framework-desktop", {"minimum kernel"}),  # 6.17.4-2-pve
        ("mes-legacy-rocm-build-5724", set()),
        ("zbook-ultra-strix-halo-optimizations", set()),
        ("bosgame-m5-thefrontierlab", set()),  # Fedora's own ROCm 6.4.4
        ("modinfo-invokeai-9539", set()),
    ],
)
def test_real_boxes(name: str, found: set[str]) -> None:
    assert rules(gate(real(name), "box")) == found


@pytest.mark.parametrize(
    ("os", "kernel", "package", "good"),
    [
        # Ubuntu 24.04 HWE: 6.17.0-19.19~24.04.2 or newer
        ("ubuntu-24.04", "6.17.0-19-generic", "6.17.0-19.19~24.04.2", True),
        ("ubuntu-24.04", "6.17.0-19-generic", "6.17.0-19.19~24.04.1", False),
        ("ubuntu-24.04", "6.17.0-20-generic", "6.17.0-20.20~24.04.1", True),
        ("ubuntu-24.04", "6.17.0-19-generic", "", True),  # the package is not known, the release is
        ("ubuntu-24.04", "6.17.0-18-generic", "", False),
        ("ubuntu-24.04", "6.8.0-51-generic", "6.8.0-51.52", False),
        # Ubuntu 24.04 OEM: 6.14.0-1018 or newer
        ("ubuntu-24.04", "6.14.0-1018-oem", "", True),
        ("ubuntu-24.04", "6.14.0-1017-oem", "", False),
        ("ubuntu-24.04", "6.17.0-1005-oem", "", True),
        # all others: 6.18.4
        ("debian-13", "6.18.4+deb14-amd64", "", True),
        ("debian-13", "6.12.48+deb13-amd64", "", False),
        ("fedora-42", "6.18.9-200.fc42.x86_64", "", True),
        ("fedora-42", "6.18.3-200.fc42.x86_64", "", False),
        ("nobara-43", "6.18.6-200.nobara.fc43.x86_64", "", True),
        # these carry the fixes in their own packages
        ("fedora-43", "6.17.4-300.fc43.x86_64", "", True),
        ("fedora-44", "7.1.9-200.fc44.x86_64", "", True),
        ("ubuntu-26.04", "7.0.0-38-generic", "", True),
    ],
)
def test_minimum_kernels(os: str, kernel: str, package: str, good: bool) -> None:
    lines = [f"package linux-image-{kernel} {package}"] if package else []
    seen = box(f"os {os}", f"kernel {kernel}", *lines)
    assert judge_kernel(seen, kernel).good is good
    found = gate(seen, "box")
    assert [finding.severity for finding in found] == ([] if good else ["warn"])
    assert [finding.severity for finding in gate(seen, "box", rocm=True)] == ([] if good else ["stop"])
    assert gate(seen, "box", kernel=False) == []


def test_a_kernel_that_is_installed_and_does_not_run_yet() -> None:
    kernels = ("installed_kernel 6.12.48+deb13-amd64", "installed_kernel 6.18.9+deb14-amd64")
    (finding,) = gate(box("os debian-13", "kernel 6.12.48+deb13-amd64", *kernels), "box")
    assert finding.fix == "reboot: 6.18.9+deb14-amd64 boots next"
    older = ("installed_kernel 6.12.48+deb13-amd64",)
    (finding,) = gate(box("os debian-13", "kernel 6.18.9+deb14-amd64", *older), "box")
    assert "6.12.48+deb13-amd64 boots next" in finding.seen


FIXED = ("os ubuntu-24.04", "kernel 6.17.0-20-generic")
OLD = ("os debian-13", "kernel 6.12.48+deb13-amd64")


@pytest.mark.parametrize(
    ("rocm", "fixed", "old"),
    [
        # ROCm/rocm-docs, rdna3-5.rst, row by row
        ("7.14.1", None, "warn"),
        ("7.14.0", None, "warn"),
        ("7.13.0", None, "warn"),
        ("7.12.0", None, "warn"),
        ("7.11.0", None, "warn"),
        ("7.10.0", "stop", "warn"),
        ("7.9.0", "stop", "warn"),
        ("7.2.4", None, "warn"),
        ("7.2.1", None, "warn"),
        ("7.2.0", None, "stop"),
        ("7.2.0.70200-43~24.04", None, "stop"),  # rocm-core's own way to say it
        ("7.1.1", "stop", "warn"),
        ("6.4.4", "stop", "warn"),
        # not in the table
        ("10.0.0", None, None),
        ("7.0.2", None, None),
    ],
)
def test_rocm_and_kernel(rocm: str, fixed: str | None, old: str | None) -> None:
    for lines, severity in ((FIXED, fixed), (OLD, old)):
        found = [finding for finding in gate(box(*lines, f"rocm {rocm}"), "box") if finding.rule == "ROCm and kernel"]
        assert [finding.severity for finding in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("series", "there", "seen"),
    [
        ("7.9", (), "7.9"),  # it is to be installed
        ("7.9", ("package amdrocm-core7.9-gfx1151 7.9.1-1",), "7.9.1-1"),
        ("7.9", ("package amdrocm-core10.0-gfx1151 10.0.0-1",), "7.9"),
        ("10.0", ("package amdrocm-core7.9-gfx1151 7.9.1-1",), None),  # what is there goes
        ("10.0", (), None),
    ],
)
def test_the_series_that_will_be_used_counts(series: str, there: tuple[str, ...], seen: str | None) -> None:
    found = gate(box(*FIXED, *there), "box", rocm=True, series=series)
    told = [str(finding) for finding in found if finding.rule == "ROCm and kernel"]
    assert [line.partition("ROCm and kernel: ")[2].partition(" on kernel")[0] for line in told] == (
        [f"ROCm {seen}"] if seen else []
    )


def test_rocm_as_a_package_of_amd_or_of_the_distribution() -> None:
    assert "ROCm and kernel" in rules(gate(box(*FIXED, "package rocm-core 7.1.0.70100-1"), "box"))
    assert gate(box("os fedora-43", "kernel 6.19.12", "package rocm-runtime 6.4.4-1.fc43"), "box") == []
    for version in ("6.4.4-1.fc43", "7.1.0-0ubuntu1"):  # Fedora and Ubuntu call their own rocm-core too
        assert gate(box("os fedora-43", "kernel 6.19.12", f"package rocm-core {version}"), "box") == []
    assert box("package amdrocm-core10.0-gfx1151 10.0.0-1").rocm == "10.0.0-1"


@pytest.mark.parametrize(
    ("os", "version", "found"),
    [
        ("fedora-43", "20251111-1.fc43", False),  # what kyuz0 goes back to
        ("fedora-43", "20251125-1.fc43", True),
        ("fedora-43", "20251125-2.fc43", True),
        ("fedora-43", "20260110-1.fc43", False),
        ("fedora-43", "20260309-1.fc43", False),  # kyuz0's own box
        ("nobara-43", "20251125-1.fc43", True),
        # Ubuntu's does not carry the upstream date
        ("ubuntu-24.04", "20240318.git3b128b60-0ubuntu2", False),
        ("ubuntu-24.04", "20251125.git3b128b60-0ubuntu2", False),
    ],
)
def test_linux_firmware(os: str, version: str, found: bool) -> None:
    seen = box(f"os {os}", f"package linux-firmware {version}")
    assert bool(gate(seen, "box")) is found
    assert [finding.severity for finding in gate(seen, "box", rocm=True)] == (["stop"] if found else [])


@pytest.mark.parametrize(
    ("mes", "severity"), [("0x00000080", None), ("0x00000083", "stop"), ("0x00000086", "ok"), ("", None)]
)
def test_mes(mes: str, severity: str | None) -> None:
    found = gate(box(*GPU, f"{MES}{mes}"), "box", rocm=True)
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_mes_kiq_is_another_firmware() -> None:
    line = "firmware MES_KIQ feature version: 6, firmware version: 0x00000083"
    assert gate(box(*GPU, line), "box", rocm=True) == []


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("25.2.8-0ubuntu0.24.04.1", True),
        ("25.0.7-2", True),
        ("25.3.0-1.fc43", False),
        ("26.0.6~kisak1~n", False),
        ("26.0.8-1ubuntu0.3", False),
        ("1:26.0.6-1", False),
    ],
)
def test_mesa(version: str, old: bool) -> None:
    assert rules(gate(box("os ubuntu-24.04", f"package mesa-vulkan-drivers {version}"), "box")) == (
        {"Mesa"} if old else set()
    )


def test_dkms() -> None:
    (finding,) = gate(box("package amdgpu-dkms 1:6.16.6.30200100-2255209.24.04"), "box")
    assert (finding.rule, finding.severity) == ("amdgpu-dkms", "stop")


@pytest.mark.parametrize(("date", "rocm", "severity"), [
    ("20260907", True, "stop"), ("20260907", False, "warn"), ("20260908", True, None), ("20260918", True, None),
])  # fmt: skip
def test_llama_cpp(date: str, rocm: bool, severity: str | None) -> None:
    found = check("llama.cpp", date, "fedora-43", "box", rocm)
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_nothing_is_known_of_nothing() -> None:
    assert gate(Box(), "box") == []
    assert check("emacs", "30.1", "debian-13", "box") == []


def test_every_entry_has_its_words() -> None:
    for entry in data()["versions"]:
        assert all(entry[key] for key in ("id", "package", "order", "range", "severity", "effect", "fix", "source"))
    for entry in data()["left_open"]:
        assert all(entry[key] for key in ("says", "by", "why"))


def test_left_open_stays_silent() -> None:
    """hogeheer's 6.19, ROCm 10, Fedora 43's 6.17: nothing is said of them."""
    assert gate(box("os fedora-43", "kernel 6.19.3-200.fc43.x86_64", "rocm 10.1.0"), "box") == []
    assert gate(box("os fedora-43", "kernel 6.17.4-300.fc43.x86_64"), "box") == []
