"""The build script as it is sent to a node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inventory.spec import Lab, load
from roles.llama_cpp import operations, source
from roles.llama_cpp.plan import Release, plan

LAB = Path(__file__).parents[2] / "inventory/lab.yml"


@pytest.fixture
def lab() -> Lab:
    return load(LAB)


def script(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    tarball = source.Tarball(tmp_path / "source.tar.gz", "vendor/llama cpp", "0c1e57098")
    monkeypatch.setattr(source, "fetch", lambda _: tarball)
    return operations._script(release)


def test_shellcheck_has_nothing_to_say(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "build.sh"
    path.write_text("#!/bin/sh\n" + script(plan(lab, "halo1")[0], tmp_path, monkeypatch))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, "-e", "SC2043", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_inventory_says_is_quoted(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = script(plan(lab, "halo1")[0], tmp_path, monkeypatch)
    assert "'vendor/llama cpp'" in text
    assert "-DLLAMA_BUILD_COMMIT=0c1e57098" in text
    assert "-DGGML_RPC_RDMA=OFF" in text
