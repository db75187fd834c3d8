"""llama.cpp for ROCm where there is no GPU: the production script configures it as on a box, in AMD's layout, without
a network, and the objects that are hardest on a compiler are compiled for gfx1151."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inventory.spec import load
from inventory.spec.home import home
from roles.lib.layout import BUILDS
from roles.llama_cpp import operations, source
from roles.llama_cpp.plan import Release, plan
from tests.lab.harness import ROOT
from tests.slow.toolchain import Toolchain, impossible, toolchain

FOLDER = "ggml/src/ggml-hip/CMakeFiles/ggml-hip.dir/__/ggml-cuda"
OBJECTS = tuple(
    f"{FOLDER}/{name}.cu.o"
    for name in (
        "softmax",
        "mmvq",
        "template-instances/mmq-instance-q4_k",
        "template-instances/mmf-instance-ncols_8",
        "template-instances/fattn-vec-instance-f16-f16",
        "template-instances/fattn-tile-instance-dkq128-dv128",
        "template-instances/fattn-mma-f16-instance-ncols1_16-ncols2_1",
    )
)
"""One of each family of kernels that llama.cpp writes for the GPU at hand: products of matrices, flash attention."""

LOOK = """
set -eu
PATH=$(hipconfig -l):$PATH
cd {build}
for object in {objects}; do
    llvm-objcopy --dump-section .hip_fatbin=/tmp/bundle "$object" /tmp/unchanged.o
    for target in $(clang-offload-bundler --list --type=o --input=/tmp/bundle); do
        case $target in host-*) continue ;; esac
        clang-offload-bundler --unbundle --type=o --input=/tmp/bundle --targets="$target" --output=/tmp/code
        flags=$(llvm-readelf --file-header /tmp/code | sed -n 's/.*Flags: *0x[0-9A-F]*, //p')
        echo "$object $target ${{flags%%,*}} $(llvm-readelf --symbols --wide /tmp/code | grep -c '[.]kd$')"
    done
done
"""
"""A line for each piece of GPU code in an object: whose it is by the bundle's name, by its own header, its kernels."""


@dataclass(frozen=True)
class Built:
    toolchain: Toolchain
    folder: Path
    release: Release
    said: str

    @property
    def build(self) -> Path:
        return self.folder / self.release.id / "build"

    def inside(self, script: str) -> str:
        done = self.toolchain.run(self.folder, "sh", "-c", script)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def cmake(self) -> dict[str, str]:
        """CMakeCache.txt."""
        text = (self.build / "CMakeCache.txt").read_text()
        return dict(re.findall(r"(?m)^([\w.-]+):\w+=(.*)$", text))


def of_a_box() -> Release:
    """A real box's, of the source that the shipped lab pins."""
    box = plan(load(ROOT / "inventory/examples/four-over-10gbe.yml"), "halo1")[0]
    return replace(box, source=load(ROOT / "inventory/lab.yml").spec.llama_cpp.source)


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """The production script as far as its compile step, and of that the few objects."""
    if reason := impossible():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the slow tier: {reason}")
        pytest.skip(reason)
    release = of_a_box()
    assert release.backend == "rocm"
    script, compiling, _ = operations._script(release).partition('echo "== compiling')
    assert compiling
    prefix = dict(word.split("=", 1) for word in release.environment)["ROCM_PATH"]
    folder = home() / "tests" / ("hip-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / release.id
    work.mkdir(parents=True)
    shutil.copy(source.fetch(release.source).path, work / "source.tar.gz")
    (work / "build.sh").write_text(f"{script}\nninja -C build {' '.join(OBJECTS)}\n")
    tools = toolchain(prefix)
    done = tools.run(folder, "sh", f"{BUILDS}/{release.id}/build.sh")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    yield Built(tools, folder, release, done.stdout)
    shutil.rmtree(folder)


def test_it_configures_for_this_gpu_with_every_flag_that_was_given(built: Built) -> None:
    cache = built.cmake()
    assert cache["GGML_HIP"] == "ON"
    assert cache["GPU_TARGETS"] == "gfx1151"
    assert "HIP and hipBLAS found" in built.said
    for flag in built.release.cmake:  # each arrived, and cmake found nothing better
        name, value = flag.removeprefix("-D").split("=", 1)
        assert cache[name] == value


def test_flash_attention_by_rocwmma_is_not_asked_for(built: Built) -> None:
    assert [name for name in built.cmake() if "ROCWMMA" in name] == []


def test_every_object_of_the_backend_would_be_compiled_for_this_gpu_alone(built: Built) -> None:
    commands = [
        shlex.split(line)
        for line in built.inside(f"cd {BUILDS}/{built.release.id}/build && ninja -t commands ggml-hip").splitlines()
        if " -x hip " in line
    ]
    assert len(commands) > 100
    for command in commands:
        targets = [word for word in command if word.startswith(("--offload-arch", "--cuda-gpu-arch", "--offload="))]
        assert targets == ["--offload-arch=gfx1151"], command[-1]
    print(f"{len(commands)} objects")


def test_the_objects_hold_code_for_this_gpu_alone(built: Built) -> None:
    said = built.inside(LOOK.format(build=f"{BUILDS}/{built.release.id}/build", objects=" ".join(OBJECTS)))
    lines = [line.split() for line in said.splitlines()]
    assert sorted(line[0] for line in lines) == sorted(OBJECTS)  # one piece each
    for name, target, gpu, kernels in lines:
        assert (target, gpu) == ("hipv4-amdgcn-amd-amdhsa--gfx1151", "gfx1151"), name
        assert int(kernels) > 0, name
        print(f"{seconds(built, name):6.1f} s, {int(kernels):4} kernels: {name.removeprefix(FOLDER + '/')}")


def seconds(built: Built, target: str) -> float:
    """How long the object took; .ninja_log has begin and end in milliseconds."""
    rows = [line.split("\t") for line in (built.build / ".ninja_log").read_text().splitlines()[1:]]
    return next((int(row[1]) - int(row[0])) / 1000 for row in rows if row[3] == target)
