"""The program that looks at a model before a server takes it, run as a unit runs it, on files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from roles.llama_server.plan import CHECKS

WEIGHTS = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """As roles/lib/transfer.py leaves it."""
    return arrived(tmp_path / "chat model.gguf")


def arrived(path: Path) -> Path:
    path.write_bytes(WEIGHTS)
    stat = path.stat()
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    Path(f"{path}.sha256").write_text(f"{digest} {stat.st_size}-{int(stat.st_mtime)}\n")
    return path


def check(path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-", str(path)], input=CHECKS.content, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def spoil(path: Path) -> None:
    """One bit of it, some time later."""
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    later(path)


def later(path: Path) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 10))


def test_what_arrived_is_believed_and_not_read(model: Path) -> None:
    times = model.stat()
    data = bytearray(WEIGHTS)
    data[5000] ^= 1
    model.write_bytes(data)
    os.utime(model, (times.st_atime, times.st_mtime))
    assert check(model) == (0, "")


def test_a_flipped_bit_is_told(model: Path) -> None:
    spoil(model)
    status, said = check(model)
    assert status == 1
    assert f"{model}: damaged: its sha256 is" in said.splitlines()[1]


def test_what_was_only_touched_serves(model: Path) -> None:
    later(model)
    assert check(model) == (0, f"{model}: changed since it arrived; whether its content did is being looked at\n")


def test_what_was_cut_short_is_told_with_both_sizes(model: Path) -> None:
    model.write_bytes(WEIGHTS[:-1])
    fix = "put it back, or run cluster.py, which brings it"
    assert check(model) == (1, f"{model}: has {len(WEIGHTS) - 1} bytes, and {len(WEIGHTS)} arrived; {fix}\n")


def test_what_is_not_there_is_told(model: Path) -> None:
    model.unlink()
    status, said = check(model)
    assert (status, said.startswith(f"{model}: No such file or directory; ")) == (1, True)


@pytest.mark.parametrize("text", ["", "nonsense", "a b c"])
def test_what_the_user_has_put_there_is_believed(model: Path, text: str) -> None:
    spoil(model)
    Path(f"{model}.sha256").write_text(text)
    assert check(model) == (0, "")


def test_every_part_is_looked_at(tmp_path: Path) -> None:
    first, second, third = (arrived(tmp_path / f"big-{number:05}-of-00003.gguf") for number in (1, 2, 3))
    assert check(first) == (0, "")
    spoil(second)
    third.unlink()
    status, said = check(first)
    assert status == 1
    assert [line.split(": ")[0] for line in said.splitlines()] == [str(second), str(second), str(third)]
