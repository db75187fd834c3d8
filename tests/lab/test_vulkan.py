"""llama.cpp's Vulkan backend without a GPU, on Mesa's lavapipe: the whole way through the roles, for two workers, a
Debian and a stand-in for Fedora. The tests run in this order, on one lab.

Compiling it takes ten minutes on two cores. That is done where CI or `make test-slow` asks for it; the
artifact stays in the cache of all, and from then on the tests are part of `make test`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from inventory.spec import home, load
from roles.lib.local import whole
from roles.llama_cpp.plan import Release, release
from tests.lab.conftest import booted
from tests.lab.harness import ROOT, Lab, lend_release, make_lab, own_releases
from tests.thorough import THOROUGH

WEIGHT = 13

SYSTEMS = {"halo1": "debian-13", "halo2": "debian-13", "halo3": "fedora-43"}
CONTROLLER, DEBIAN, FEDORA = SYSTEMS
WORKERS = (DEBIAN, FEDORA)
BUDGET = 20
"""Remote commands per host of a whole cluster.py that has nothing to do."""
BUILD_SECONDS = 5400
RPC = "halofleet-rpc-server.service"
VISIBLE = "GGML_VK_VISIBLE_DEVICES"


def lab_of(folder: Path) -> Lab:
    lab = make_lab(folder, "test-vulkan-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    text = lab.yml.read_text()
    for name, system in SYSTEMS.items():
        text = re.sub(rf"({name}: {{.*)}}", rf"\1, os: {system}}}", text)
    lab.yml.write_text(text)
    return lab


def workers_compute_by(lab: Lab, backend: str) -> None:
    text = re.sub(r", backend: \w+", "", lab.yml.read_text())
    for name in WORKERS:
        text = re.sub(rf"({name}: {{.*)}}", rf"\1, backend: {backend}}}", text)
    lab.yml.write_text(text)
    assert {load(lab.yml).nodes[name].backend for name in WORKERS} == {backend}


def not_built(lab: Lab) -> str:
    """Why the tests are left out here; empty where they are not."""
    workers_compute_by(lab, "vulkan")
    wanted = release(load(lab.yml), DEBIAN, "vulkan")
    if all(path.exists() for path in kept(wanted)) or THOROUGH or os.environ.get("CI") == "true":
        return ""
    return f"{wanted.id} is not in {home.cache('releases')}; `make test-slow` compiles it, in ten minutes"


def kept(wanted: Release) -> tuple[Path, Path]:
    """In the cache of all: the artifact and its sum."""
    artifact = home.cache("releases") / f"{wanted.id}.tar.gz"
    return artifact, artifact.with_suffix(".gz.sha256")


def have_releases(lab: Lab) -> None:
    """Debian's come from the cache of all tests; what is missing there is built on its node and kept there. The Fedora
    gets the same binaries, in a cache of this lab's own."""
    built = False
    for backend in ("vulkan", "cpu"):
        workers_compute_by(lab, backend)
        known = load(lab.yml)
        ours, lent = (release(known, name, backend) for name in WORKERS)
        built |= have_release(lab, ours)
        own = own_releases(lab.home())
        lend_release(own / f"{ours.id}.tar.gz", {"id": lent.id, "os": lent.os}, own / f"{lent.id}.tar.gz")
    if built:  # hosts that have compiled nothing
        lab.down().ok()
        lab.up().ok()


def have_release(lab: Lab, wanted: Release) -> bool:
    """Whether it had to be built."""
    own, there = own_releases(lab.home()), all(path.exists() for path in kept(wanted))
    if not there:
        build = lab.start("-y", "--limit", wanted.builder, str(lab.inventory), "tests/lab/build_only.py")
        said = build.communicate(timeout=BUILD_SECONDS)[0]
        assert build.returncode == 0, said[-9000:]
    for path in kept(wanted):
        source, target = (path, own / path.name) if there else (own / path.name, path)
        with whole(target) as part:
            shutil.copy(source, part)
    return not there


@pytest.fixture(scope="module")
def vulkan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    found = lab_of(tmp_path_factory.mktemp("vulkan"))
    if reason := not_built(found):
        pytest.skip(reason)
    for lab in booted(found):
        have_releases(lab)
        yield lab


@dataclass(frozen=True)
class Seen:
    """packages: by host, names and versions. tokens: of an answer without chance in it."""

    packages: dict[str, list[str]]
    tokens: list[int]


def seen(lab: Lab) -> Seen:
    ask = "if command -v dpkg-query >/dev/null; then dpkg-query -W; else rpm -qa; fi | sort"
    packages = {name: lab.ssh(name, ask).splitlines() for name in lab.addresses}
    answer = requests.post(
        f"http://{lab.addresses[CONTROLLER]}:8080/completion",
        headers={"Authorization": f"Bearer {(lab.home() / 'labs/test/chat.key').read_text().strip()}"},
        json={"prompt": "Once upon a time", "n_predict": 16, "temperature": 0, "return_tokens": True},
        timeout=300,
    )
    return Seen(packages, answer.json()["tokens"])


@pytest.fixture(scope="module")
def by_cpu(vulkan: Lab) -> Seen:
    """The lab as it is before any worker has a GPU's stack."""
    workers_compute_by(vulkan, "cpu")
    vulkan.cluster().ok()
    return seen(vulkan)


def started(lab: Lab, worker: str) -> str:
    return lab.ssh(worker, f"systemctl show -p InvocationID --value {RPC}").strip()


def listens(lab: Lab, worker: str) -> str:
    """`ADDRESS:PORT` of its RPC server; empty where there is none."""
    return lab.ssh(worker, "ss -ltnH | awk '{print $4}' | grep ':50052$' || true").strip()


def test_a_release_that_does_not_find_the_device_changes_nothing_that_runs(vulkan: Lab, by_cpu: Seen) -> None:
    """llama.cpp leaves a device in software out unless the environment names it; without, it would take the CPU."""
    assert by_cpu.tokens
    workers_compute_by(vulkan, "vulkan")
    before = {worker: started(vulkan, worker) for worker in WORKERS}
    entry = vulkan.inventory.read_text()
    forget = "from roles.llama_cpp.plan import data\ndata()['software'].clear()\n"
    vulkan.inventory.write_text(entry + forget)
    try:
        run = vulkan.cluster()
    finally:
        vulkan.inventory.write_text(entry)
    assert run.status == 1
    assert "ready:" not in run.out
    for worker in WORKERS:
        assert f"{worker}: GPU of llama.cpp: none; expected: Vulkan0; " in run.err
        assert started(vulkan, worker) == before[worker]
    assert seen(vulkan).tokens == by_cpu.tokens


def test_a_unit_that_does_not_find_its_device_does_not_serve(vulkan: Lab, by_cpu: Seen) -> None:  # noqa: ARG001
    """Somebody's drop-in takes the environment from it: the release finds the device, its unit does not."""
    folder = f"/etc/systemd/system/{RPC}.d"
    vulkan.ssh(DEBIAN, f"mkdir {folder}; printf '[Service]\\nUnsetEnvironment={VISIBLE}\\n' >{folder}/other.conf")
    try:
        run = vulkan.cluster()
        listening = [worker for worker in WORKERS if listens(vulkan, worker)]
    finally:
        vulkan.ssh(DEBIAN, f"rm -r {folder}; systemctl daemon-reload")
    assert run.status == 1
    assert "ready:" not in run.out
    assert listening == [FEDORA]
    said = [line for line in run.err.splitlines() if "error: unknown device: Vulkan0" in line]
    assert [line.strip().startswith(f"failed: {DEBIAN}: ") for line in said] == [True], run.err


def test_the_layers_are_on_the_vulkan_devices_and_the_answer_is_the_same(vulkan: Lab, by_cpu: Seen) -> None:
    run = vulkan.cluster().ok()
    assert run.out.splitlines()[-1] == f"ready: http://{vulkan.addresses[CONTROLLER]}:8080/v1"
    as_user = "runuser -u halofleet -- env AMD_VULKAN_ICD=RADV vulkaninfo --summary"
    for worker in WORKERS:
        assert re.search(r"deviceName += llvmpipe", vulkan.ssh(worker, as_user))
        pid = vulkan.ssh(worker, f"systemctl show -p MainPID --value {RPC}").strip()
        assert " --device Vulkan0" in vulkan.ssh(worker, f"tr '\\0' ' ' </proc/{pid}/cmdline")
        assert "libvulkan_lvp.so" in vulkan.ssh(worker, f"cat /proc/{pid}/maps")
        assert "ggml_vulkan: 0 = llvmpipe" in vulkan.ssh(worker, f"journalctl -o cat _PID={pid}")
    unit = "halofleet-server-chat"
    journal = vulkan.ssh(
        CONTROLLER, f"journalctl -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value {unit})"
    )
    assert re.search(r"offloaded (\d+)/\1 layers to GPU", journal)
    holding = set(re.findall(r"RPC\d\[([\d.:]+)\] model buffer size = +[1-9]", journal))
    assert holding == {listens(vulkan, worker) for worker in WORKERS}
    assert seen(vulkan).tokens == by_cpu.tokens


def test_a_second_run_changes_nothing_within_its_budget(vulkan: Lab, tmp_path: Path) -> None:
    before = vulkan.fingerprint()
    run = vulkan.cluster("--json", trace=tmp_path / "trace").ok()
    print("remote commands:", dict(run.commands))
    assert (run.totals["success"], run.totals["error"]) == (0, 0)
    assert vulkan.fingerprint() == before
    assert max(run.commands.values()) <= BUDGET, (tmp_path / "trace").read_text()


def test_back_on_the_cpu_nothing_of_it_is_left(vulkan: Lab, by_cpu: Seen) -> None:
    workers_compute_by(vulkan, "cpu")
    vulkan.cluster().ok()
    now = seen(vulkan)
    for name in SYSTEMS:
        assert now.packages[name] == by_cpu.packages[name]
        assert vulkan.ssh(name, "ls -d /var/lib/halofleet/gpu /usr/share/vulkan/icd.d/* 2>/dev/null || true") == ""
    assert now.tokens == by_cpu.tokens
    assert vulkan.cluster("--json").ok().totals["success"] == 0
