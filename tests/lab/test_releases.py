"""Building a release on a node: killed, broken, from git. The source is a small project with llama.cpp's target names,
so that a build takes seconds; the real llama.cpp is built by test_cluster.py where the cache has none."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.lab.harness import Lab

WEIGHT = 3

CMAKE = """
cmake_minimum_required(VERSION 3.14)
project(small C)
execute_process(COMMAND sh -c "echo configured >>/var/tmp/halofleet-small-builds")
foreach(step RANGE 1 30)
  add_custom_command(OUTPUT step-${step} COMMAND sleep 0.5 COMMAND touch step-${step})
  list(APPEND steps step-${step})
endforeach()
add_custom_command(OUTPUT gate COMMAND timeout 120 sh ${CMAKE_SOURCE_DIR}/gate.sh COMMAND touch gate)
add_custom_target(steps DEPENDS ${steps} gate)
foreach(name ggml-rpc-server llama-server llama-bench)
  add_executable(${name} main.c)
  add_dependencies(${name} steps)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endforeach()
"""
MAIN = '#include <stdio.h>\nint main(void) { puts("--port --load-mode"); return 0; }\n'
GO = "/var/tmp/halofleet-small-go"  # noqa: S108
"""The build does not end before it is there."""
BUILDS = "cat /var/tmp/halofleet-small-builds 2>/dev/null | wc -l"
STEPS = "cat /var/lib/halofleet/jobs/build-*.log 2>/dev/null | grep -c '^\\[' || true"


def project(folder: Path, main: str) -> Path:
    (folder / "small").mkdir(parents=True)
    (folder / "small/CMakeLists.txt").write_text(CMAKE)
    (folder / "small/gate.sh").write_text(f"until [ -e {GO} ]; do sleep 0.1; done\n")
    (folder / "small/main.c").write_text(main)
    return folder / "small"


def small_lab(lab: Lab, folder: Path, source: dict[str, str]) -> Lab:
    """The same hosts and lab name, another llama.cpp source."""
    data = yaml.safe_load(lab.yml.read_text())
    data["llama_cpp"] = {"source": source}
    (folder / "test.yml").write_text(yaml.safe_dump(data))
    (folder / "test.py").write_text(lab.inventory.read_text())
    return Lab(folder, lab.instance, lab.addresses)


def from_archive(lab: Lab, folder: Path, main: str = MAIN) -> Lab:
    path = folder / "small.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(project(folder, main), "small")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return small_lab(lab, folder, {"archive": str(path), "sha256": digest, "commit": "abcdef0"})


@pytest.fixture(autouse=True)
def running_release_untouched(lab: Lab) -> Iterator[None]:
    """Whatever is built here, the cluster goes on with its own release, and gets its `current` back."""
    lab.cluster().ok()
    lab.ssh("halo1", f"rm -f /var/tmp/halofleet-small-builds; touch {GO}")
    before = lab.ssh("halo1", "systemctl show -p InvocationID halofleet-server-chat")
    yield
    assert lab.ssh("halo1", "systemctl show -p InvocationID halofleet-server-chat") == before
    lab.cluster().ok()


def build(lab: Lab) -> list[str]:
    return ["-y", str(lab.inventory), "tests/lab/build_only.py"]


def test_killed_in_the_middle_it_attaches(lab: Lab, tmp_path: Path) -> None:
    small = from_archive(lab, tmp_path)
    lab.ssh("halo1", f"rm {GO}")
    victim = small.start(*build(small))
    deadline = time.monotonic() + 300
    while int(lab.ssh("halo1", STEPS)) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    victim.kill()
    victim.communicate(timeout=60)
    second = small.start(*build(small))
    assert second.stdout
    said = ""
    for line in second.stdout:
        said += line
        if "attaching" in line:
            break
    lab.ssh("halo1", f"touch {GO}")
    rest, _ = second.communicate(timeout=300)
    assert "attaching" in said, said
    assert second.returncode == 0, said + rest
    assert int(lab.ssh("halo1", BUILDS)) == 1, "one compile in all"
    for host in lab.addresses:
        assert "abcdef0" in lab.ssh(host, "readlink /opt/halofleet/llama.cpp/current-cpu")


def test_a_compile_that_fails_shows_why(lab: Lab, tmp_path: Path) -> None:
    small = from_archive(lab, tmp_path, main="int main(void) { return missing; }\n")
    before = lab.ssh("halo2", "readlink /opt/halofleet/llama.cpp/current-cpu")
    run = small.pyinfra(*build(small))
    assert run.status == 1
    assert re.search("error: .missing. undeclared", run.err)
    assert "Traceback" not in run.err
    assert lab.ssh("halo2", "readlink /opt/halofleet/llama.cpp/current-cpu") == before


def test_from_git(lab: Lab, tmp_path: Path) -> None:
    repository = project(tmp_path, MAIN)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    small = small_lab(lab, tmp_path, {"git": f"file://{repository}", "ref": "v1"})
    small.pyinfra(*build(small)).ok()
    assert commit[:9] in lab.ssh("halo3", "cat /opt/halofleet/llama.cpp/current-cpu/release.json")


def test_a_wrong_sum_is_said(lab: Lab, tmp_path: Path) -> None:
    small = from_archive(lab, tmp_path)
    with (tmp_path / "small.tar.gz").open("ab") as file:
        file.write(b"\0")
    run = small.pyinfra(*build(small))
    assert run.status == 1
    assert "lab.yml says" in run.err
    assert "Traceback" not in run.err
