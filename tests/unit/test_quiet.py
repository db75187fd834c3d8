"""quiet: the block of dnf's automatic.conf, what is remembered of a box, and where the values are from. Pure."""

from __future__ import annotations

import configparser
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from roles.lib.paths import Absent, File
from roles.quiet import automatic
from roles.quiet.automatic import free, held
from roles.quiet.plan import AUTOMATIC, FOLDERS, TARGETS, Quiet, Seen, conf, data, names, record, recorded, remembered

SHIPPED = """\
[commands]
# Whether updates should be applied.
apply_updates = yes
reboot = when-needed

[base]
# overrides dnf.conf
"""
LINES = st.lists(
    st.sampled_from(["[base]", "[commands]", "[email]", "excludepkgs = mine, yours", "exclude=mine", "  theirs", "",
                     "reboot=when-changed", "# a comment", automatic.END, "debuglevel = 1"])
)  # fmt: skip


def parsed(text: str) -> configparser.ConfigParser:
    """As libdnf5 reads it: sections of one name are one, and the last value counts."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    return parser


@given(LINES, st.booleans())
def test_it_is_taken_back_byte_for_byte(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended else "")
    with_block = held(text, ["kernel*"])
    assert free(with_block) == text
    assert held(with_block, ["kernel*"]) == with_block
    assert free(held(with_block, ["other"])) == text


@pytest.mark.parametrize("text", ["", SHIPPED, SHIPPED.rstrip("\n"), "[base]\ndebuglevel = 1"])
def test_what_counts_then(text: str) -> None:
    parser = parsed(held(text, ["kernel", "mesa-*"]))
    assert parser["commands"]["reboot"] == "never"
    assert parser["base"]["excludepkgs"] == "kernel, mesa-*"
    assert parser["commands"].get("apply_updates") == ("yes" if "apply" in text else None)


@pytest.mark.parametrize(
    "said",
    ["excludepkgs = mine, yours", "exclude=mine yours", "excludepkgs = mine\n  yours", "excludepkgs=mine,\n\tyours"],
)
def test_what_somebody_leaves_out_is_left_out_still(said: str) -> None:
    text = f"[email]\nexcludepkgs = no\n[base]\ndebuglevel = 1\n{said}\n[command]\nexcludepkgs = neither\n"
    assert parsed(held(text, ["kernel"]))["base"]["excludepkgs"] == "mine, yours, kernel"


def test_a_file_that_we_have_made_goes() -> None:
    both = Quiet(sleep=True, upgrades=True)
    bare = Seen("dnf", timers=True)
    made = conf(both, bare)
    assert isinstance(made, File)
    ours = Seen("dnf", timers=True, automatic=made, before=recorded(record(remembered(both, bare)).splitlines()))
    assert conf(both, ours) is None
    assert conf(Quiet(sleep=True, upgrades=False), ours) == Absent(AUTOMATIC)
    theirs = Seen("dnf", timers=True, automatic=made, before=recorded([]))
    assert conf(Quiet(sleep=True, upgrades=False), theirs) == File(AUTOMATIC, "")


def test_without_a_timer_of_dnfs_nothing_is_written() -> None:
    assert conf(Quiet(sleep=True, upgrades=True), Seen("dnf")) is None


@given(st.sets(st.sampled_from(TARGETS)), st.sets(st.sampled_from(FOLDERS)), st.booleans())
def test_what_is_remembered(masked: set[str], folders: set[str], there: bool) -> None:
    seen = Seen(masked=frozenset(masked), folders=frozenset(folders), automatic=File("x", "") if there else None)
    before = recorded(record(remembered(Quiet(sleep=True, upgrades=False), seen)).splitlines())
    assert before.masked == set(TARGETS) - masked
    assert set(before.made) == {*FOLDERS, *(() if there else (AUTOMATIC,))} - folders


HELD = {
    "apt": "linux-image-6.17.0-19-generic linux-generic-hwe-24.04 linux-firmware firmware-amd-graphics "
    "mesa-vulkan-drivers libgl1-mesa-dri libdrm2 libdrm-amdgpu1 amdrocm10.0-gfx1151 librocblas4 "
    "libhsa-runtime64-1 hipcc",
    "dnf": "kernel kernel-core kernel-modules linux-firmware amd-gpu-firmware mesa-vulkan-drivers mesa-dri-drivers "
    "libdrm amdrocm10.0-gfx1151 rocm-runtime hipblas hsakmt rocblas",
}
FREE = [
    "openssh-server",
    "openssl",
    "libc6",
    "linux-libc-dev",
    "systemd",
    "python3",
    "util-linux",
    "libgcc",
    "sudo",
    "libvulkan-dev-not",
]


@pytest.mark.parametrize("tool", HELD)
def test_what_is_held_and_what_is_not(tool: str) -> None:
    def caught(package: str) -> bool:
        if tool == "apt":  # unattended-upgrades: re.match
            return any(re.match(name, package) for name in names("apt"))
        shapes = [re.escape(name).replace(r"\*", ".*") for name in names("dnf")]
        return any(re.fullmatch(shape, package) for shape in shapes)

    assert [package for package in HELD[tool].split() if not caught(package)] == []
    assert [package for package in FREE[:-1] if caught(package)] == []


def test_every_part_says_where_it_is_known_from() -> None:
    assert all(part["sources"] for part in data().values())
    assert yaml.safe_dump(data())
