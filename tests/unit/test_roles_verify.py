"""verify.judge: what is seen against what should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from roles.llama_cpp.plan import plan as release_plan
from roles.verify.facts import Sight
from roles.verify.operations import judge
from roles.verify.plan import Check, plan
from tests.sim.flavours import DEBIAN
from tests.sim.labs import Home, make_artifact

RPC = "halofleet-rpc-server.service"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """The worker halo2."""
    monkeypatch.setenv("HALOFLEET_HOME", str(tmp_path))
    lab = Home(tmp_path).lab(DEBIAN)
    make_artifact(*release_plan(lab, "halo2"))
    return plan(lab, "halo2")


def rules(check: Check, *, exe: str | None = None, listens: tuple[str, ...], commit: str = "0c1e57098") -> list[str]:
    exe = f"{check.releases[0].path}/bin/ggml-rpc-server" if exe is None else exe
    return [
        finding.rule
        for finding in judge(check, Sight({RPC: exe}, ("0.0.0.0:22", *listens), {check.releases[0].id: commit}))
    ]


def test_all_well(check: Check) -> None:
    assert rules(check, listens=("10.44.0.1:50052",)) == []
    assert rules(check, listens=("10.44.0.1:50052",), commit="0c1e570") == []


def test_another_release(check: Check) -> None:
    other = "/opt/halofleet/llama.cpp/releases/other/bin/ggml-rpc-server"
    assert rules(check, exe=other, listens=("10.44.0.1:50052",)) == [f"{RPC} runs its release"]


def test_a_program_that_was_replaced_under_it(check: Check) -> None:
    exe = f"{check.releases[0].path}/bin/ggml-rpc-server (deleted)"
    assert rules(check, exe=exe, listens=("10.44.0.1:50052",)) == [f"{RPC} runs its release"]


def test_a_program_that_ends_again_and_again_says_why(check: Check) -> None:
    """Also where it is looked at in the middle of a try."""
    program, why = f"{check.releases[0].path}/bin/ggml-rpc-server", "(error: unknown device: Vulkan0; No devices found)"
    words: dict[str, tuple[str, ...]] = {RPC: ("error: unknown device: Vulkan0", "No devices found")}
    for exe, seen in (("", [f"not running {why}", "nobody"]), (program, [f"nobody {why}"])):
        sight = Sight({RPC: exe}, (), {check.releases[0].id: "0c1e57098"}, last_words=words)
        assert [finding.seen for finding in judge(check, sight)] == seen
    healed = Sight({RPC: program}, ("10.44.0.1:50052",), {check.releases[0].id: "0c1e57098"}, last_words=words)
    assert judge(check, healed) == []


@pytest.mark.parametrize("commit", ["", "1234567", "0c1e57098f"])
def test_another_commit(check: Check, commit: str) -> None:
    assert rules(check, listens=("10.44.0.1:50052",), commit=commit) == ["same commit on every node"]


@pytest.mark.parametrize(
    "listens", [(), ("0.0.0.0:50052",), ("10.43.0.12:50052",), ("10.44.0.1:50052", "[::]:50052"), ("*:50052",)]
)
def test_rpc_listens_elsewhere(check: Check, listens: tuple[str, ...]) -> None:
    assert rules(check, listens=listens) == ["RPC listens on its link only"]


def test_ports_are_compared_whole(check: Check) -> None:
    assert rules(check, listens=("10.44.0.1:50052", "127.0.0.1:5005", "127.0.0.1:150052")) == []


def test_a_gpu_that_llama_cpp_does_not_find_is_no_silent_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOFLEET_HOME", str(tmp_path))
    lab = Home(tmp_path).lab(DEBIAN, changes={"nodes.halo2.backend": "vulkan"})
    check = plan(lab, "halo2")
    (release,) = check.releases
    make_artifact(release)
    assert release.environment == ("AMD_VULKAN_ICD=RADV",), "no virtual lab"
    program = f"{release.path}/bin/ggml-rpc-server"

    def seen(*devices: str) -> list[str]:
        about = {release.id: dict.fromkeys(devices, "AMD Radeon 8060S Graphics (RADV STRIX_HALO)")}
        sight = Sight({RPC: program}, ("10.44.0.1:50052",), {release.id: "0c1e57098"}, about)
        return [f"{finding.rule}: {finding.seen}" for finding in judge(check, sight)]

    assert seen("Vulkan0") == []
    assert seen("ROCm0") == ["GPU of llama.cpp: ROCm0"]
    assert seen() == ["GPU of llama.cpp: none"]
