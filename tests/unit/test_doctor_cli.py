"""The verb itself, as people call it, and the script that it runs on a box: pyinfra HOSTS deploys/preflight.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roles.doctor.answer import parse
from roles.doctor.look import SCRIPT

ROOT = Path(__file__).parents[2]
PYINFRA = str(Path(sys.executable).with_name("pyinfra"))


def preflight(hosts: str, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    """SSH goes to a port where nobody listens."""
    done = subprocess.run(
        [PYINFRA, *options, "--ssh-port", "1", hosts, "deploys/preflight.py"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("options", [(), ("-y",), ("--dry",)])
def test_this_machine(options: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever it is: it answers, and the report is all that standard output gets."""
    done = preflight("@local", *options, home=tmp_path)
    assert done.returncode in (0, 1)
    assert done.returncode == (1 if re.search(r"^  stop  ", done.stdout, re.MULTILINE) else 0)
    assert done.stdout.startswith("@local: ")
    assert re.search(r"^1 box: \d+ stop, \d+ warn, \d+ ok\n\Z", done.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [("--json",), ("--json", "-y"), ("--json", "--dry")])
def test_json_and_nothing_else(options: tuple[str, ...], tmp_path: Path) -> None:
    found = json.loads(preflight("@local", *options, home=tmp_path).stdout)
    assert found["boxes"][0]["node"] == "@local"
    assert all({"rule", "severity", "node", "seen", "expected", "fix", "source"} == set(x) for x in found["findings"])


def test_redacted(tmp_path: Path) -> None:
    done = preflight("@local", "--data", "redact=yes", home=tmp_path)
    assert done.stdout.startswith("box1: ")
    assert "@local" not in done.stdout


def test_redact_is_yes_or_no(tmp_path: Path) -> None:
    done = preflight("@local", "--data", "redact=maybe", home=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "redact=maybe: must be yes or no" in done.stderr


def test_a_box_that_cannot_be_reached_is_a_finding(tmp_path: Path) -> None:
    done = preflight("@local,127.0.0.1", "-y", "--json", home=tmp_path)
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert [finding["rule"] for finding in findings if finding["node"] == "127.0.0.1"] == ["unreachable"]


def test_the_script_needs_no_root_and_no_environment() -> None:
    """As nobody, with an empty environment and no terminal; it says nothing on standard error."""
    command = ["env", "-i", "sh", "-c", SCRIPT]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    seen = parse(done.stdout.splitlines())
    assert seen.kernel == os.uname().release
    assert seen.memory > 0
    assert not seen.root


def test_the_script_reads_only() -> None:
    """No command of it changes anything, and nothing is written but to /dev/null."""
    code = "\n".join(line for line in SCRIPT.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"\b(rm|mv|cp|tee|touch|mkdir|install|chmod|sudo|insmod|sysctl|mktemp|dd|ln|truncate)\b", code)
    assert not re.search(r">(?!/dev/null|&1)", code.replace("=>", ""))
