"""Where the source of llama.cpp comes from: a real HTTP server on this machine, a real git repository."""

from __future__ import annotations

import hashlib
import http.server
import io
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.spec import home
from inventory.spec.language.sources import ArchiveSource, GitSource
from roles.lib.stop import Failed
from roles.llama_cpp import source


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOFLEET_HOME", str(tmp_path / "home"))


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "llama.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("llama/CMakeLists.txt")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"text"))
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def archive(where: str, path: Path, digest: str | None = None) -> ArchiveSource:
    digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    return ArchiveSource(archive=where, sha256=digest, commit="abcdef0")


def leftovers() -> list[Path]:
    return list(home.cache("sources").glob(".*"))


def test_downloaded_once(server: str, tarball: Path) -> None:
    wanted = archive(f"{server}/{tarball.name}", tarball)
    first = source.fetch(wanted)
    content = tarball.read_bytes()
    tarball.unlink()
    assert source.fetch(wanted) == first
    assert first.path.read_bytes() == content
    assert (first.subdir, first.commit) == (".", "abcdef0")
    assert leftovers() == []


def test_a_local_file(tarball: Path) -> None:
    assert source.fetch(archive(str(tarball), tarball)).path.read_bytes() == tarball.read_bytes()


def test_another_sum_is_refused_and_not_kept(server: str, tarball: Path) -> None:
    with pytest.raises(Failed, match=r"has sha256 [0-9a-f]{64}, lab\.yml says 0{64}"):
        source.fetch(archive(f"{server}/{tarball.name}", tarball, "0" * 64))
    assert list(home.cache("sources").iterdir()) == []


@pytest.mark.parametrize("name", ["nothing.tar.gz", "../../etc/nothing"])
def test_what_is_not_there_is_said(server: str, tarball: Path, name: str) -> None:
    with pytest.raises(Failed, match="404"):
        source.fetch(archive(f"{server}/{name}", tarball))
    with pytest.raises(Failed, match="no such file on this machine"):
        source.fetch(archive("/nowhere/llama.tar.gz", tarball))
    with pytest.raises(Failed, match="refused"):
        source.fetch(archive("http://127.0.0.1:9/llama.tar.gz", tarball))
    assert leftovers() == []


def test_git(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "CMakeLists.txt").write_text("text")
    for words in (["add", "."], ["commit", "-qm", "one"], ["tag", "b1"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "b1"], check=True, capture_output=True, text=True).stdout.strip()
    found = source.fetch(GitSource(git=f"file://{repository}", ref="b1"))
    assert commit.startswith(found.commit)
    assert len(found.commit) >= 7
    with tarfile.open(found.path) as tar:
        assert tar.getnames() == ["llama.cpp", "llama.cpp/CMakeLists.txt"]
    with pytest.raises(Failed, match="b2"):
        source.fetch(GitSource(git=f"file://{repository}", ref="b2"))
