"""What a node is, of what it says itself, what its group says and what the lab says."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.spec import Lab, home, load
from inventory.spec.__main__ import check

LAB = """
management: 10.43.0.0/24
{virtual}
defaults: {defaults}
groups: {groups}
nodes:
  halo1: {{id: 1, address: 10.43.0.11, {node}}}
  halo2: {{id: 2, address: 10.43.0.12}}
models: {{mine: {{file: /m.gguf}}}}
serves: {{chat: {{model: mine, controller: halo1}}}}
"""


def lab(folder: Path, node: str = "", *, defaults: str = "", groups: str = "", virtual: bool = False) -> Lab:
    path = folder / "lab.yml"
    path.write_text(
        LAB.format(
            node=node,
            defaults=f"{{os: {'debian-13, kernel: none' if virtual else 'fedora-43'}, {defaults}}}",
            groups=f"{{{groups}}}",
            virtual="virtual: {}" if virtual else "",
        )
    )
    return load(path)


def test_what_nobody_says(tmp_path: Path) -> None:
    node = lab(tmp_path).node("halo2")
    assert (node.os, node.board, node.backend, node.kernel) == ("fedora-43", None, "cpu", "own")
    assert (node.iommu, node.tuning, node.reboot, node.group) == ("untouched", "performance", "when-needed", None)
    assert node.memory.model_dump() == {"installed": None, "gpu": None, "reserve": None}
    assert node.ssh.model_dump() == {"user": "root", "port": 22, "key": None}


@pytest.mark.parametrize(
    ("node", "backend"),
    [("", "vulkan"), ("group: big", "rocm"), ("group: big, backend: cpu", "cpu"), ("group: plain", "vulkan")],
)
def test_the_nearest_word_counts(tmp_path: Path, node: str, backend: str) -> None:
    made = lab(tmp_path, node, defaults="backend: vulkan", groups="big: {backend: rocm}, plain: {os: debian-13}")
    assert made.node("halo1").backend == backend
    assert made.node("halo2").backend == "vulkan"


def test_a_default_that_is_said_counts_as_said(tmp_path: Path) -> None:
    made = lab(
        tmp_path, "group: big, kernel: own", groups="big: {kernel: none, iommu: untouched}", defaults="iommu: off"
    )
    assert (made.node("halo1").kernel, made.node("halo1").iommu) == ("own", "untouched")
    assert made.node("halo2").iommu == "off"


def test_ssh_and_memory_are_joined_key_by_key(tmp_path: Path) -> None:
    made = lab(
        tmp_path,
        "group: big, ssh: {port: 2222}, memory: {gpu: 96GiB}",
        groups="big: {ssh: {user: admin, port: 22}, memory: {installed: 128GiB}}",
        defaults="ssh: {user: ops, key: ~/.ssh/lab}, memory: {installed: 64GiB, reserve: 4GiB}",
    )
    ssh, memory = made.ssh("halo1"), made.node("halo1").memory
    assert (ssh.user, ssh.port, ssh.key) == ("admin", 2222, Path("~/.ssh/lab").expanduser())
    assert (memory.installed, memory.gpu, memory.reserve) == (128, 96, None)
    assert made.ssh("halo2").user == "ops"
    assert made.node("halo2").memory.model_dump() == {"installed": 64, "gpu": None, "reserve": 4}


@pytest.mark.parametrize(
    ("node", "group", "gpu", "reserve"),
    [
        ("", "installed: 128GiB", 96, None),
        ("", "reserve: 8GiB", None, 8),
        ("gpu: 32GiB", "reserve: 8GiB", 32, None),
        ("reserve: 4GiB", "gpu: 64GiB", None, 4),
    ],
)
def test_gpu_and_reserve_are_alternatives(
    tmp_path: Path, node: str, group: str, gpu: int | None, reserve: int | None
) -> None:
    """Whichever is nearer counts; they are never taken from two places at once."""
    made = lab(
        tmp_path,
        f"group: big, memory: {{{node}}}",
        groups=f"big: {{memory: {{{group}}}}}",
        defaults="memory: {gpu: 96GiB}",
    )
    memory = made.node("halo1").memory
    assert (memory.gpu, memory.reserve) == (gpu, reserve)


def test_virtual_hosts_get_a_key_of_the_labs_own(tmp_path: Path) -> None:
    made = lab(tmp_path, virtual=True)
    assert made.ssh("halo2").key == home.virtual_key("lab")


def test_a_real_lab_gets_no_key_of_ours(tmp_path: Path) -> None:
    assert lab(tmp_path).ssh("halo1").key is None


def test_off_is_a_word(tmp_path: Path) -> None:
    """YAML takes it for false."""
    made = lab(tmp_path, 'iommu: "off"', defaults="iommu: off")
    assert {made.node(name).iommu for name in made.nodes} == {"off"}


def test_ports_as_the_kernel_and_labels_write_them(tmp_path: Path) -> None:
    ports = "{halo1: enP1p1s0, halo2: AA:BB:CC:DD:EE:0F}"
    path = lab(tmp_path).path
    path.write_text(path.read_text() + f"links:\n  - usb4: {ports}\n")
    assert [end.port for end in load(path).links[0].ends] == ["enP1p1s0", "aa:bb:cc:dd:ee:0f"]


def test_check_prints_the_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(lab(tmp_path).path) == 0
    assert "halo2: is in no serve" in capsys.readouterr().err
