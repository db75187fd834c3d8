"""A model in parts: which files it is made of, and what is wrong with a folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec.language.sources import DirectoryModel, GitSource
from roles.lib.stop import Failed
from roles.models import here
from roles.models.facts import ModelFiles
from roles.models.parts import NAME, in_order
from roles.models.plan import Model


def part(number: int, count: int, model: str = "big-Q4_K_M") -> str:
    return f"{model}-{number:05}-of-{count:05}.gguf"


@given(st.permutations([part(number, 12) for number in range(1, 13)]))
def test_the_parts_come_in_their_order_beside_whatever_else_is_there(names: list[str]) -> None:
    found = in_order([*names, "mmproj-F16.gguf", "README.md", ".cache", f"{names[0]}.sha256"], "x")
    assert found == tuple(sorted(names))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "models.big: /m: no NAME-00001-of-0000N.gguf there; put every part"),
        (["big.gguf"], "no NAME-00001-of-0000N.gguf there; .*for one in a single file: `file`"),
        ([part(1, 2), part(2, 2), part(1, 1, "b")], r"parts of 2 models: b-\*-of-00001.gguf, big-Q4_K_M-\*-of-00002.g"),
        (
            [part(1, 2), part(2, 3)],
            r"parts of 2 models: big-Q4_K_M-\*-of-00002.gguf, big-Q4_K_M-\*-of-00003.gguf; give",
        ),
        ([part(1, 3), part(3, 3)], "missing or empty: big-Q4_K_M-00002-of-00003.gguf; put every part there"),
        ([part(9, 9)], "big-Q4_K_M-00004-of-00009.gguf and 4 more; put"),
        (["x-1-of-2.gguf", "x-00001-of-00000.gguf", "-00001-of-00001.gguf"], "no NAME-00001"),
    ],
)
def test_what_is_wrong_is_said(names: list[str], words: str) -> None:
    with pytest.raises(Failed, match=words):
        in_order(names, "models.big: /m")


def test_the_control_machine_looks_at_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    spec = DirectoryModel(directory=folder)
    model = Model("big", "/var/lib/halofleet/models/big", spec, GitSource(git="https://example.org", ref="b1"))
    with pytest.raises(Failed, match=re.escape(f"models.big: {folder} on this machine: no such folder")):
        here.files(model)
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / part(number, 3)).write_bytes(b"GGUF")
    assert here.files(model) == {f"{model.path}/{part(n, 3)}": folder / part(n, 3) for n in (1, 2, 3)}
    (folder / part(2, 3)).write_bytes(b"")
    with pytest.raises(Failed, match=r"missing or empty: big-Q4_K_M-00002-of-00003\.gguf"):
        here.files(model)


def test_the_fact_tells_files_with_and_without_a_record_and_every_part(tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    for name in (
        "with space.gguf",
        "changed.gguf",
        "foreign.gguf",
        "empty.gguf",
        part(1, 2),
        part(2, 2),
        "x-1-of-2.gguf",
    ):
        (folder / name).write_bytes(b"" if name == "empty.gguf" else b"GGUF")
    stamp = f"4-{int((folder / 'with space.gguf').stat().st_mtime)}"
    (folder / "with space.gguf.sha256").write_text(f"{'a' * 64} {stamp}\n")
    (folder / "changed.gguf.sha256").write_text(f"{'b' * 64} 4-1\n")
    (folder / "foreign.gguf.sha256").write_text(f"{'c' * 64}  foreign.gguf\n")
    files = [folder / name for name in ("with space.gguf", "changed.gguf", "foreign.gguf", "empty.gguf", "none.gguf")]
    fact = ModelFiles()
    command = fact.command(tuple(map(str, files)), (str(folder), str(tmp_path / "none")))
    done = subprocess.run(["sh", "-c", str(command)], capture_output=True, text=True, check=True)
    seen = {Path(path).name: digest for path, digest in fact.process(done.stdout.splitlines()).items()}
    times = {name: f"4-{int((folder / name).stat().st_mtime)}" for name in ("changed.gguf", "foreign.gguf")}
    times |= {part(n, 2): f"4-{int((folder / part(n, 2)).stat().st_mtime)}" for n in (1, 2)}
    assert seen == {"with space.gguf": "a" * 64, **times}
    assert NAME.fullmatch(part(1, 2))
