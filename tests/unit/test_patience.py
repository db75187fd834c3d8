"""Shell that waits for another apt, dpkg or dnf, run by the shells that hosts have as /bin/sh."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from roles.lib.packages import PATIENTLY

LOCKS = (
    "dpkg: error: dpkg frontend lock was locked by another process with pid 512",
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 512 (apt-get)",
    "Transaction failed: Failed to obtain rpm transaction lock. Another transaction is in progress.",
)


def run(shell: str, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    (folder / "sleep").write_text("#!/bin/sh\necho slept >>$0.log\n")
    (folder / "sleep").chmod(0o755)
    script = f"set -eu\n{PATIENTLY}patiently sh -c '{command}'\necho came"
    path = {"PATH": f"{folder}:/usr/bin:/bin", "TMPDIR": str(folder)}
    return subprocess.run([*shell.split(), "-c", script], env=path, capture_output=True, text=True, check=False)


@pytest.fixture(params=["dash", "bash --posix"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_waited_for(shell: str, lock: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    done = run(shell, tmp_path, f'echo x >>{seen}; [ $(wc -l <{seen}) -ge 3 ] || {{ echo "{lock}" >&2; exit 2; }}')
    assert done.returncode == 0
    assert done.stdout.endswith("came\n")
    assert done.stdout.count("waiting for it") == 1
    assert (tmp_path / "sleep.log").read_text() == "slept\n" * 2


def test_for_ten_minutes(shell: str, tmp_path: Path) -> None:
    assert run(shell, tmp_path, f'echo "{LOCKS[0]}"; exit 2').returncode != 0
    assert (tmp_path / "sleep.log").read_text() == "slept\n" * 59


@pytest.mark.parametrize("failure", ["printf no-end; exit 7", "kill -9 $$", "exit 100"])
def test_another_failure_is_one(shell: str, failure: str, tmp_path: Path) -> None:
    done = run(shell, tmp_path, failure)
    assert done.returncode != 0
    assert "came" not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"sleep"}  # it has not slept, and nothing stays


def test_what_ends_well_without_a_new_line(shell: str, tmp_path: Path) -> None:
    assert run(shell, tmp_path, "printf fine").stdout == "fine\nended well\ncame\n"
