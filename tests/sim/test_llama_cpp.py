"""llama.cpp: built once, put on every node, `current` points to it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable

import pytest

from roles.lib.stop import Failed
from roles.llama_cpp import artifact
from roles.llama_cpp.plan import Release, plan
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

Stages = Callable[..., Stage]

FOLDER = "/opt/halofleet/llama.cpp"
BUILDS = "/var/lib/halofleet/builds"


def release(stage: Stage) -> Release:
    (found,) = plan(stage.lab(), stage.node)
    return found


def link(identity: str) -> str:
    return (
        f"ln -sfn releases/{identity} {FOLDER}/current-cpu.new && mv -Tf {FOLDER}/current-cpu.new {FOLDER}/current-cpu"
    )


def unpack(identity: str, *, keep: bool) -> str:
    path, archive = f"{FOLDER}/releases/{identity}", f"{BUILDS}/{identity}.tar.gz"
    return (
        f"rm -rf {path}.part && mkdir {path}.part && tar -xzf {archive} -C {path}.part && "
        f"(cd {path}.part && sha256sum -c --quiet SHA256SUMS) && chown -R root:root {path}.part && rm -rf {path} && "
        f"mv -T {path}.part {path} && if command -v restorecon >/dev/null; then restorecon -R {path}; fi"
        + ("" if keep else f" && rm -f {archive}")
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_builder_builds_it_and_the_control_machine_keeps_it(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_cpp")
    run = stage.run("llama_cpp", sim)
    built = release(stage)
    operations = dict(run.commands)
    commands = operations["releases built"]
    tool = "dnf install" if flavour == "fedora" else "apt-get install"
    assert [command.split()[0] for command in commands[1:4]] == ["mkdir", "stat", "append"]
    assert commands[0].startswith("job packages:")
    assert tool in commands[0]
    assert f"write {BUILDS}/{built.id}/release.json 644 root:root" in commands
    job = next(command for command in commands if command.startswith(f"job build-{built.id}:"))
    assert "-DLLAMA_BUILD_COMMIT=0c1e57098 -DCMAKE_BUILD_TYPE=Release" in job
    assert "-DGGML_RPC_RDMA=OFF" in job
    assert 'ninja -C build "$worker" llama-server llama-bench\n' in job
    assert commands[-1] == f"fetch {BUILDS}/{built.id}.tar.gz"
    assert operations["releases installed"][-2:] == [unpack(built.id, keep=True), link(built.id)]
    assert artifact.is_cached(built)
    assert artifact.manifest(built)["commit"] == "0c1e57098"
    assert sorted(line.split()[1] for line in artifact.sums(built).splitlines())[:3] == [
        "bin/fnv1a64",
        "bin/ggml-rpc-server",
        "bin/llama-bench",
    ]
    if sim.flavour.selinux:
        assert f"{FOLDER}/releases/{built.id}/bin/llama-server" in sim.files.relabelled


def test_the_worker_of_an_older_source_gets_its_present_name(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_cpp")
    sim.build.worker = "rpc-server"
    stage.run("llama_cpp", sim)
    names = [line.split()[1] for line in artifact.sums(release(stage)).splitlines()]
    assert [name for name in names if "rpc" in name] == ["bin/ggml-rpc-server", "help/ggml-rpc-server.txt"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_others_get_what_it_built(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    stage.artifact()
    installed = release(stage)
    ((operation, commands),) = stage.run("llama_cpp", sim).commands
    assert operation == "releases installed"
    assert [command.split()[0] for command in commands[:3]] == ["sha256sum", "stat", "append"]
    assert commands[-2:] == [unpack(installed.id, keep=False), link(installed.id)]
    assert not sim.files.real(f"{BUILDS}/{installed.id}.tar.gz").exists()
    assert list(sim.files.real("/var/lib/halofleet/incoming").iterdir()) == []


def test_other_cmake_arguments_are_another_release_beside_the_first(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("models")
    stage.artifact()
    first = release(stage)
    stage.change(llama_cpp__cmake={"cpu": ["-DGGML_LTO=ON"]})
    second = release(stage)
    assert second.id != first.id
    stage.artifact()
    commands = stage.run("llama_cpp", sim).flat
    assert commands[-2:] == [unpack(second.id, keep=False), link(second.id)]
    assert sim.files.real(f"{FOLDER}/releases/{first.id}/bin/llama-server").is_file()
    stage.change(llama_cpp__cmake={"cpu": []})
    assert stage.run("llama_cpp", sim).flat == [link(first.id)], "the way back is a link"


def test_a_damaged_file_is_replaced_and_the_link_left_alone(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("models")
    stage.artifact()
    path = f"{FOLDER}/releases/{release(stage).id}"
    sim.files.real(f"{path}/bin/llama-server").write_text("bit rot")
    assert stage.run("llama_cpp", sim).flat[-1] == unpack(release(stage).id, keep=False)
    assert "bit rot" not in sim.text(f"{path}/bin/llama-server")


def test_an_upload_that_was_cut_off_goes_on_where_it_stopped(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    stage.artifact()
    size = artifact.path_of(release(stage)).stat().st_size
    run = stage.run("llama_cpp", sim, dies_after=1)
    assert run.flat[-1].endswith("cut off")
    again = stage.run("llama_cpp", sim)
    assert any(command.endswith(f"from {size // 2}") for command in again.flat)


def test_an_upload_that_arrives_damaged_is_not_installed(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    stage.artifact()
    stage.run("llama_cpp", sim, dies_after=1)
    (arrived,) = sim.files.real("/var/lib/halofleet/incoming").iterdir()
    arrived.write_bytes(b"\0" * arrived.stat().st_size)
    run = stage.run("llama_cpp", sim, dies_after=99)
    assert not run.ended
    assert not sim.files.real(f"{FOLDER}/current-cpu").is_symlink()
    assert stage.run("llama_cpp", sim).ended
    assert stage.run("llama_cpp", sim).flat == []


def test_without_a_built_release_the_others_stop(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    with pytest.raises(Failed, match="is not built: its builder, halo1, failed"):
        stage.run("llama_cpp", sim)


def test_a_build_that_is_done_on_the_builder_is_fetched_and_not_repeated(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_cpp")
    stage.run("llama_cpp", sim)
    stage.forget()
    commands = stage.run("llama_cpp", sim).flat
    assert not any("apt-get" in command or command.startswith("append") for command in commands)
    assert commands[-1] == f"fetch {BUILDS}/{release(stage).id}.tar.gz"
    with tarfile.open(artifact.path_of(release(stage))) as tar:
        assert "./SHA256SUMS" in tar.getnames()
