"""The units of workers and servers, for every backend: how far they are closed, and what stays open for the GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from roles import llama_server, rpc_server
from roles.llama_cpp.artifact import offered
from roles.llama_server.plan import CHECKS, WAITS
from tests.sim.flavours import FEDORA
from tests.sim.labs import Home

BACKENDS = ("cpu", "vulkan", "rocm")
NEW = offered((Path(__file__).parent / "llama_cpp_help/0c1e57098-llama-server.txt").read_text())
TENTHS = 30
"""Of systemd-analyze's exposure level."""


def units(folder: Path, backend: str, **changes: object) -> dict[str, str]:
    lab = Home(folder).lab(FEDORA, changes={"serves.chat.backend": backend, **changes})
    worker, (server,) = rpc_server.plan.plan(lab, "halo3"), llama_server.plan.plan(lab, "halo1")
    found = {"server": llama_server.plan.unit(server, NEW, "k", "m")[0].content}
    return found | ({"worker": rpc_server.plan.unit(worker)[0].content} if worker else {})


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text.replace("\\\n", " "), re.M)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("backend", BACKENDS)
def test_exposure(tmp_path: Path, backend: str) -> None:
    for kind, text in units(tmp_path, backend).items():
        path = tmp_path / f"halofleet-{kind}.service"
        path.write_text(text)
        command = ["systemd-analyze", "security", "--offline=true", f"--threshold={TENTHS}", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stdout.strip().splitlines()[-1]
        assert "exposure level" in said, done.stderr
        print(backend, kind, said)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("backend", "devices", "private"),
    [("cpu", [], ["yes"]), ("vulkan", ["char-drm rw"], []), ("rocm", ["char-drm rw", "char-kfd rw"], [])],
)
def test_the_gpu_is_reached_where_there_is_one(
    tmp_path: Path, backend: str, devices: list[str], private: list[str]
) -> None:
    for text in units(tmp_path, backend).values():
        assert values(text, "DeviceAllow") == devices
        assert values(text, "DevicePolicy") == (["closed"] if devices else [])
        assert values(text, "PrivateDevices") == private
        # Mesa and ROCm compile into memory; the GPU's memory may count for the unit.
        assert values(text, "MemoryDenyWriteExecute") == private
        assert values(text, "MemoryMax") == (["90%"] if private else [])
        assert values(text, "PrivateUsers") == values(text, "ProcSubset") == []
        assert values(text, "User") == ["halofleet"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_keeps_a_box_reachable_and_a_service_coming_back(tmp_path: Path, backend: str) -> None:
    for kind, text in units(tmp_path, backend).items():
        assert values(text, "MemorySwapMax") == ["0"]
        assert values(text, "OOMScoreAdjust") == ["900"]
        assert values(text, "Restart") == ["always"]
        assert values(text, "StartLimitIntervalSec") == ["0"]
        assert int(values(text, "TimeoutStopSec")[0]) <= 10
        assert values(text, "LimitMEMLOCK") == ["infinity"]
        assert values(text, "SyslogIdentifier") == [f"halofleet-{'rpc' if kind == 'worker' else kind}-chat"]
        assert len(set(text.splitlines()) & {"[Unit]", "[Service]", "[Install]"}) == 3


def test_a_worker_talks_to_its_controller_alone(tmp_path: Path) -> None:
    worker = units(tmp_path, "cpu")["worker"]
    assert values(worker, "IPAddressDeny") == ["any"]
    assert values(worker, "IPAddressAllow") == ["10.44.0.4 10.44.0.5"]
    assert values(worker, "IgnoreSIGPIPE") == ["yes"]
    routed = units(tmp_path, "cpu", **{"links.2": None})["worker"]
    assert values(routed, "IPAddressAllow") == ["10.44.255.254 10.44.255.252"]


def test_a_server_waits_for_all_its_workers_within_its_time_to_start(tmp_path: Path) -> None:
    server = units(tmp_path, "rocm")["server"]
    check, line = values(server, "ExecStartPre")
    assert check.split()[:3] == ["/usr/bin/python3", "-I", CHECKS.path]
    assert line.split() == [
        *("/usr/bin/python3", "-I", WAITS.path, "--seconds", "60"),
        *("--program", "/opt/halofleet/llama.cpp/current-rocm/bin/ggml-rpc-server"),
        *("halo2=10.44.0.1:50052", "halo3=10.44.0.5:50052"),
    ]
    assert values(server, "TimeoutStartSec") == ["infinity"]
    assert WAITS.content.startswith('"""Runs on the controller before llama-server')
    alone = units(tmp_path, "cpu", **{"serves.chat.workers": []})
    assert values(alone["server"], "ExecStartPre") == [check]
