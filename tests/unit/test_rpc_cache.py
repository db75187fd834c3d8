"""The keeper of the RPC server's cache: real files, and the real hasher, compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.rpc_cache import keeper
from roles.rpc_cache.keeper import Cache, Piece, doubtful, surplus, tidy

SOURCE = Path(__file__).parents[2] / "templates/llama_cpp/fnv1a64.c"
NOW = 2_000_000_000.0
KNOWN = {b"": "cbf29ce484222325", b"a": "af63dc4c8601ec8c", b"foobar": "85944171f73967e8"}
"""Test vectors of the FNV draft (draft-eastlake-fnv, appendix)."""


@pytest.fixture(scope="session")
def hasher(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    assert compiler, "no C compiler here"
    path = tmp_path_factory.mktemp("hasher") / "fnv1a64"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(path), str(SOURCE)], check=True)
    return str(path)


def fnv(content: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in content:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


@pytest.fixture
def cache(tmp_path: Path, hasher: str, monkeypatch: pytest.MonkeyPatch) -> Cache:
    (tmp_path / "rpc").mkdir()
    boot = tmp_path / "boot"
    boot.write_text("first")
    monkeypatch.setattr(keeper, "BOOT", boot)
    monkeypatch.setattr(keeper, "SPARE", 0)
    return Cache(tmp_path / "rpc", hasher, 2**40)


@pytest.fixture
def put(cache: Cache) -> Callable[..., Path]:
    def put(content: bytes, name: str = "", used: float = NOW - 3600) -> Path:
        path = cache.folder / (name or fnv(content))
        path.write_bytes(content)
        os.utime(path, (used, used))
        return path

    return put


def left(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


@given(st.binary(max_size=300))
def test_the_hash_is_fnv_1a(hasher: str, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    said = subprocess.run([hasher, str(path)], capture_output=True, text=True, check=True).stdout
    assert said == f"{fnv(content)} {path}\n"


@pytest.mark.parametrize("content", KNOWN)
def test_the_hash_agrees_with_published_vectors(hasher: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    said = subprocess.run([hasher, "x"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert said == f"{KNOWN[content]} x\n"


def test_only_whole_pieces_are_left_and_nothing_else_is_touched(cache: Cache, put: Callable[..., Path]) -> None:
    good = put(b"weights" * 1000)
    short = put(b"weights" * 999, fnv(b"weights" * 1000 + b"!"))
    flipped = put(b"weightz" * 1000, fnv(b"weights" * 2000))
    empty = put(b"", fnv(b"something"))
    for name in ("README", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef.part", "123"):
        put(b"not ours", name)
    (cache.folder / "aaaaaaaaaaaaaaaa").mkdir()
    others = left(cache) - {good.name, short.name, flipped.name, empty.name}
    assert tidy(cache, idle=True, now=NOW) == 1
    assert left(cache) == others | {good.name}


def test_a_cache_on_a_disk_of_its_own_goes_by_what_is_free_there(
    cache: Cache, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is free where the record lies, it would be emptied beside a small disk that is full."""
    name, asked, usage = put(b"weights").name, [], shutil.disk_usage

    def recorded(path: Path) -> object:
        asked.append(path)
        return usage(path)

    monkeypatch.setattr(shutil, "disk_usage", recorded)
    assert tidy(cache, idle=True, now=NOW) == 1
    (cache.folder / name).unlink()
    cache.folder.rmdir()
    assert tidy(cache, idle=True, now=NOW) == 0
    assert asked == [cache.folder, cache.folder.parent]


def test_a_link_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    """The server would follow it, and read what was never checked."""
    target = tmp_path / "somebody's"
    target.write_bytes(b"weights")
    (cache.folder / fnv(b"weights")).symlink_to(target)
    (cache.folder / "link").symlink_to(target)
    assert tidy(cache, idle=True, now=NOW) == 0
    assert left(cache) == {"link"}
    assert target.read_bytes() == b"weights"


def test_a_link_put_in_place_of_a_piece_while_it_was_looked_at(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"weights")
    (cache.folder / fnv(b"weights")).symlink_to(tmp_path / "target")
    assert keeper.whole(cache, [fnv(b"weights")]) == set()


def test_what_was_found_whole_is_not_read_again(cache: Cache, put: Callable[..., Path]) -> None:
    path = put(b"weights")
    tidy(cache, idle=True, now=NOW)
    blind = Cache(cache.folder, "/bin/false", cache.bound)  # finds nothing whole
    assert tidy(blind, idle=True, now=NOW + 60) == 1
    path.write_bytes(b"weightz")
    assert tidy(blind, idle=True, now=NOW + 120) == 0
    assert left(cache) == set()


@pytest.mark.parametrize("event", ["a week", "a boot", "a clock that went back", "a broken record", "no record"])
def test_after(event: str, cache: Cache, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that rots changes no time stamp, so it is all read again."""
    put(b"weights")
    tidy(cache, idle=True, now=NOW)
    state = keeper.pieces(cache.folder)[fnv(b"weights")].state
    put(b"weightz", fnv(b"weights"))
    monkeypatch.setattr(keeper, "_piece", lambda name, about: Piece(name, about.st_size, 0, 0, state))
    assert tidy(cache, idle=True, now=NOW + 3600) == 1, "it looks as it did"
    later = NOW + 3600
    match event:
        case "a week":
            later = NOW + keeper.AGAIN_SECONDS
        case "a boot":
            keeper.BOOT.write_text("second")
        case "a clock that went back":
            later = NOW - 1
        case "a broken record":
            cache.record.write_text("{")
        case "no record":
            cache.record.unlink()
    assert tidy(cache, idle=True, now=later) == 0
    assert left(cache) == set()


def test_what_is_being_written_is_left_until_it_is_quiet(cache: Cache, put: Callable[..., Path]) -> None:
    path = put(b"half", fnv(b"a whole piece"))
    changed = path.stat().st_ctime
    assert tidy(cache, idle=False, now=changed + 1) == 0
    assert path.exists()
    assert tidy(cache, idle=False, now=changed + keeper.SETTLED_SECONDS) == 0
    assert not path.exists(), "nobody will finish it"


def test_before_a_start_nothing_is_being_written(cache: Cache, put: Callable[..., Path]) -> None:
    path = put(b"half", fnv(b"a whole piece"))
    tidy(cache, idle=True, now=path.stat().st_ctime)
    assert not path.exists()


def test_a_piece_that_changes_while_it_is_read(cache: Cache, put: Callable[..., Path], tmp_path: Path) -> None:
    name = put(b"half", fnv(b"a whole piece")).name
    writer = tmp_path / "hasher"
    writer.write_text(f'#!/bin/sh\nprintf more >>"$1"; exec {cache.hasher} "$@"\n')
    writer.chmod(0o755)
    busy = Cache(cache.folder, str(writer), cache.bound)
    assert tidy(busy, idle=False, now=NOW) == 0
    assert left(cache) == {name}, "the next turn tells"
    assert tidy(busy, idle=True, now=NOW) == 0
    assert left(cache) == set(), "before a start there is no next turn"


def test_a_whole_piece_that_changes_while_it_is_read_is_not_known_to_be_whole(
    cache: Cache, put: Callable[..., Path], tmp_path: Path
) -> None:
    name = put(b"weights").name
    toucher = tmp_path / "hasher"
    toucher.write_text(f'#!/bin/sh\n{cache.hasher} "$@"; touch -d @{NOW:.0f} "$1"\n')
    toucher.chmod(0o755)
    busy = Cache(cache.folder, str(toucher), cache.bound)
    assert tidy(busy, idle=False, now=NOW) == 0
    assert tidy(cache, idle=False, now=NOW) == 1
    put(b"weights")
    assert tidy(busy, idle=True, now=NOW) == 0
    assert name not in left(cache)


def test_without_the_hasher_nothing_is_given_out(
    cache: Cache, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(b"weights")
    assert tidy(Cache(cache.folder, "/nowhere/fnv1a64", cache.bound), idle=True, now=NOW) == 0
    assert left(cache) == set()
    assert "/nowhere/fnv1a64: No such file or directory" in capsys.readouterr().out


def test_above_the_bound_what_was_unused_for_longest_goes(
    cache: Cache, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [put(bytes([number]) * 1000, used=NOW - 100 * age).name for number, age in enumerate((1, 4, 2, 3))]
    assert tidy(Cache(cache.folder, cache.hasher, 2500), idle=True, now=NOW) == 2
    assert left(cache) == {names[0], names[2]}
    assert capsys.readouterr().out.splitlines() == [
        f"{cache.folder / names[index]} is beyond the bound: removed" for index in (1, 3)
    ]


def test_a_full_disk_is_no_reason_not_to_start(
    cache: Cache, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(b"weights")
    tidy(cache, idle=True, now=NOW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        put(b"more")
        assert tidy(cache, idle=True, now=NOW) == 2
    assert not cache.record.exists()
    assert tidy(cache, idle=True, now=NOW) == 2


def test_a_disk_that_fails_is_told_by_name(tmp_path: Path, hasher: str) -> None:
    (tmp_path / "disk").write_text("no folder")
    words = [sys.executable, "-I", keeper.__file__, "check", str(tmp_path / "disk/rpc"), hasher, "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1, "the RPC server does not start"
    assert done.stderr == (
        f"{tmp_path}/disk: Not a directory: what is there cannot be vouched for; "
        "mend the disk, or take `cache` out of the serve\n"
    )


def test_the_folder_need_not_be_there(cache: Cache) -> None:
    cache.folder.rmdir()
    assert tidy(cache, idle=True, now=NOW) == 0


SIZES = st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 10**9)), max_size=30)


@given(SIZES, st.integers(0, 10**7), st.integers(0, 10**10))
def test_the_bound_holds_and_no_more_goes_than_must(sizes: list[tuple[int, float]], bound: int, free: int) -> None:
    found = {f"{n:016x}": Piece(f"{n:016x}", size, used, 0, "") for n, (size, used) in enumerate(sizes)}
    used = sum(piece.size for piece in found.values())
    allowed = min(bound, used + free - keeper.SPARE)
    gone = surplus(found, bound, free)
    rest = used - sum(found[name].size for name in gone)
    assert rest <= max(allowed, 0)
    if gone:
        assert rest + found[gone[-1]].size > allowed, "the last one had to go"
        assert max(found[name].used for name in gone) <= min(
            (piece.used for name, piece in found.items() if name not in gone), default=float("inf")
        )


def test_doubt_is_about_state_and_time_alone() -> None:
    piece = Piece("0" * 16, 1, 0, 0, "state")
    known = {piece.name: ("state", NOW)}
    assert doubtful({piece.name: piece}, known, NOW) == []
    assert doubtful({piece.name: piece}, {piece.name: ("other", NOW)}, NOW) == [piece.name]
    assert doubtful({piece.name: piece}, {}, NOW) == [piece.name]
