"""The script that fetches a model, run as it is sent to a node, by the real curl from a real web server."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.spec.language.sources import GitSource, UrlModel
from roles.models.operations import fetch_script
from roles.models.plan import Model

SERVER = Path(__file__).parents[1] / "files_server.py"
CONTENT = b"GGUF" + os.urandom(6_000_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
SHIMS = {"chown": "", "sleep": f"exec {shutil.which('sleep')} 0.05"}
"""What the test may not or need not wait for."""


@dataclass(frozen=True)
class Site:
    """A folder of files, served, and another one into which they are fetched."""

    folder: Path
    port: int

    @property
    def requests(self) -> list[str]:
        log = self.folder / "web/log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def ranges(self) -> list[str]:
        """What the GET requests asked for; empty for the whole."""
        return [line.split(" ")[2] for line in self.requests if line.startswith("GET")]

    @property
    def file(self) -> Path:
        return self.folder / "node models/tiny.gguf"

    @property
    def part(self) -> Path:
        return self.file.with_name(f"tiny.gguf.{SUM[:12]}.part")

    def script(self, way: str, sha256: str = SUM) -> str:
        spec = UrlModel(url=f"http://127.0.0.1:{self.port}/{way}", sha256=sha256)
        source = GitSource(git="https://example.org/llama.cpp", ref="b1")
        return fetch_script(Model("tiny", str(self.file), spec, source), spec)

    def start(self, way: str, sha256: str = SUM, **shims: str) -> subprocess.Popen[str]:
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        for name, text in (SHIMS | shims).items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        script = self.folder / "fetch.sh"
        script.write_text(self.script(way, sha256))
        return subprocess.Popen(
            ["sh", str(script)],
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def fetch(self, way: str, sha256: str = SUM, **shims: str) -> tuple[int, str]:
        process = self.start(way, sha256, **shims)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out

    def is_here(self) -> bool:
        seen = self.file.stat()
        record = self.file.with_name("tiny.gguf.sha256").read_text()
        return self.file.read_bytes() == CONTENT and record == f"{SUM} {seen.st_size}-{int(seen.st_mtime)}\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if not shutil.which("curl"):
        pytest.skip("this machine has no curl")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/m.gguf").write_bytes(CONTENT)
    (tmp_path / "node models").mkdir()
    command = [sys.executable, str(SERVER), str(tmp_path / "web"), "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield Site(tmp_path, int(server.stdout.readline()))
        server.terminate()


def test_it_arrives_with_its_record_and_nothing_else(site: Site) -> None:
    status, out = site.fetch("plain/m.gguf")
    assert status == 0, out
    assert site.is_here()
    assert f"{site.file.stat().st_mode & 0o777:o}" == "644"
    assert sorted(path.name for path in site.file.parent.iterdir()) == ["tiny.gguf", "tiny.gguf.sha256"]
    assert "== fetching 6 MiB, 0 of them here already" in out
    assert site.ranges == [""]


def test_killed_half_way_it_goes_on_where_it_was(site: Site) -> None:
    process = site.start("slow/m.gguf")
    deadline = time.monotonic() + 30
    while not (site.part.exists() and site.part.stat().st_size > 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, 9)
    out, _ = process.communicate(timeout=10)
    assert "/6] MiB of http://127.0.0.1" in out, "it tells how far it is"
    came = site.part.stat().st_size
    assert came < len(CONTENT)
    assert site.fetch("plain/m.gguf")[0] == 0
    assert site.ranges == ["", f"bytes={came}-"]
    assert site.is_here()


def test_a_connection_that_breaks_is_made_again(site: Site) -> None:
    status, out = site.fetch("cut/m.gguf")
    assert status == 0, out
    assert "== trying again, 3 MiB are here" in out
    assert len(site.ranges) > 3
    assert site.is_here()


def test_all_of_it_came_and_was_not_put_in_place(site: Site) -> None:
    site.part.write_bytes(CONTENT)
    status, out = site.fetch("plain/m.gguf")
    assert status == 0, out
    assert site.is_here()


def test_a_server_that_cannot_resume_sends_the_whole(site: Site) -> None:
    site.part.write_bytes(CONTENT[:1000])
    status, out = site.fetch("whole/m.gguf")
    assert status == 0, out
    assert site.is_here()


def test_a_wrong_sum_is_said_and_the_file_removed(site: Site) -> None:
    status, out = site.fetch("plain/m.gguf", "0" * 64)
    assert status == 1
    url = f"http://127.0.0.1:{site.port}/plain/m.gguf"
    assert f"models.tiny: {url} has sha256 {SUM}, the inventory says {'0' * 64}; the file is removed" in out
    assert list(site.file.parent.iterdir()) == []


def test_what_came_of_another_model_is_no_beginning_of_this_one(site: Site) -> None:
    other = site.file.with_name(f"tiny.gguf.{'0' * 12}.part")
    other.write_bytes(b"GGUF of something else")
    assert site.fetch("plain/m.gguf")[0] == 0
    assert site.ranges == [""]
    assert site.is_here()
    assert not other.exists()


def test_no_room_is_said_before_anything_comes(site: Site) -> None:
    status, out = site.fetch("plain/m.gguf", df="printf 'Avail\\n    5\\n'")
    assert status == 1
    assert f"6 MiB are still to come, {site.file.parent} has 5 MiB free; make room on this node" in out
    assert site.ranges == []
    site.part.write_bytes(CONTENT[:2_000_000])
    assert site.fetch("plain/m.gguf", df="printf 'Avail\\n    5\\n'")[0] == 0, "the rest of it fits"


def test_a_file_that_is_not_there_is_said_at_once(site: Site) -> None:
    status, out = site.fetch("plain/n.gguf")
    assert status == 1
    assert "404" in out
    assert f"models.tiny: http://127.0.0.1:{site.port}/plain/n.gguf: curl ended with status 22" in out
    assert len(site.ranges) == 1


def test_shellcheck_has_nothing_to_say(site: Site) -> None:
    path = site.folder / "fetch.sh"
    path.write_text("#!/bin/sh\n" + site.script("it's;here&b"))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
