"""GRUB's settings as we read them, and as the shell does."""

from __future__ import annotations

import shlex
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.doctor.lint import lint
from roles.lib.grub_settings import LONGEST, assignment, values
from tests.unit.doctor_boxes import booted, rules

NAME = "GRUB_CMDLINE_LINUX"
TUNED = 'GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT:+$GRUB_CMDLINE_LINUX_DEFAULT }\\$tuned_params"'
"""tuned's bootloader plugin (2.20.0)."""
OURS = 'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:+$GRUB_CMDLINE_LINUX }ttm.pages_limit=30670848"'


@pytest.mark.parametrize(
    "lines",
    [
        ['GRUB_CMDLINE_LINUX="quiet splash"'],
        ["GRUB_CMDLINE_LINUX='quiet $HOME'"],
        ["GRUB_CMDLINE_LINUX=quiet"],
        ['GRUB_CMDLINE_LINUX="quiet" # a=1'],
        ["GRUB_CMDLINE_LINUX=a#b # c"],
        ['GRUB_CMDLINE_LINUX="a"; true'],
        ['  export GRUB_CMDLINE_LINUX="a"'],
        ["GRUB_CMDLINE_LINUX="],
        ["GRUB_CMDLINE_LINUX=\"a\"'b'c\\ d"],
        [r'GRUB_CMDLINE_LINUX="a \"b c\" \$d \\e \f"'],
        ["GRUB_CMDLINE_LINUX=a", 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b"'],
        ["GRUB_CMDLINE_LINUX=a", 'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX} b"'],
        ['GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:-none} b"'],
        ["GRUB_CMDLINE_LINUX=a", 'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:-none} b"'],
        ["GRUB_TIMEOUT=5", "GRUB_CMDLINE_LINUX=${GRUB_TIMEOUT:+${GRUB_TIMEOUT}s}"],
        [OURS],
        ["GRUB_CMDLINE_LINUX=nvme.x=1", OURS],
        ["GRUB_CMDLINE_LINUX_DEFAULT=quiet", TUNED, 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX_DEFAULT"'],
        [TUNED, 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX_DEFAULT"'],
    ],
)
def test_as_the_shell_has_it(lines: list[str]) -> None:
    script = "\n".join(["unset HOME", *lines, f'printf %s "${NAME}"'])
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert values(lines)[NAME] == said


word = st.text(st.characters(codec="ascii", exclude_characters="\0\n\r"), max_size=12)


@given(word)
def test_what_is_quoted_comes_back(text: str) -> None:
    assert values([f"{NAME}={shlex.quote(text)}"]) == {NAME: text}


@given(st.lists(st.text(st.sampled_from("ab $\\{}\"'`;#:+-=\n")).map(lambda text: f"GRUB_A={text}"), max_size=4))
def test_nothing_raises(lines: list[str]) -> None:
    assert len(values(lines).get("GRUB_A", "")) <= LONGEST


def test_more() -> None:
    assert values(["GRUB_A=a", 'GRUB_A+=" b"']) == {"GRUB_A": "a b"}


def test_an_unclosed_quote_goes_to_the_end() -> None:
    assert values(['GRUB_A="a b']) == {"GRUB_A": "a b"}


@pytest.mark.parametrize("line", ["", "# GRUB_A=1", "echo GRUB_A=1", "GRUB_A", "if [ GRUB_A=1 ]; then"])
def test_no_assignment(line: str) -> None:
    assert assignment(line) is None


def test_a_value_that_doubles_ends_somewhere() -> None:
    start = time.monotonic()
    found = values(["GRUB_A=aa", *['GRUB_A="' + "$GRUB_A" * 500 + '"'] * 20, "GRUB_B=" + "${" * 5000])
    assert len(found["GRUB_A"]) == LONGEST
    assert time.monotonic() - start < 5


def test_the_doctor_reads_tuneds_line_and_ours() -> None:
    """Not as a limit that is no number, and not as one that is not there."""
    grub = [f"grub /etc/default/grub: {line}" for line in ('GRUB_CMDLINE_LINUX_DEFAULT="amd_iommu=pt"', TUNED, OURS)]
    seen = booted("ro quiet", *grub)
    (line,) = [line for line in seen.lines if line.when == "will boot with"]
    assert line.text == "ttm.pages_limit=30670848 amd_iommu=pt $tuned_params"
    assert rules(lint(seen, "box")) == {"amd_iommu=pt"}


def test_the_doctor_keeps_the_quotes_of_grubbys_arguments() -> None:
    seen = booted("ro", 'grubby args="ro dyndbg="file x.c +p""')
    assert seen.lines[1].text == 'ro dyndbg="file x.c +p"'
