"""llama.cpp compiled on the stand-in for Fedora, by the compiler that dnf installs there. The lab tier lends it what
Debian compiled (tests/lab/test_shapes.py)."""

from __future__ import annotations

from inventory.spec import load
from roles.llama_cpp.plan import plan as release_plan
from tests.lab.conftest import FEDORA, UBUNTU
from tests.lab.harness import Lab, own_releases
from tests.lab.test_shapes import answers_through_both, lend

SECONDS = 2 * 3600
"""8 CPU-minutes, and the machine may have other work."""

COMPILERS = "for name in gcc g++ cmake ninja; do command -v $name || echo none; done"
WORKER = "readlink /proc/$(pgrep -f '^[^ ]*ggml-rpc-server')/exe"
MADE_BY = f"grep -aoE 'GCC: \\([^)]*\\) [0-9.]+' $({WORKER}) | sort -u"
"""Every compiler that had a part in the worker's program, the C library's own among them."""


def test_it_compiles_its_own_release_and_answers_with_it(shapes: Lab) -> None:
    lend(shapes)
    (release,) = release_plan(load(shapes.yml), FEDORA)
    artifact = own_releases(shapes.home()) / f"{release.id}.tar.gz"
    artifact.unlink()
    assert shapes.ssh(FEDORA, COMPILERS).split() == ["none"] * 4

    run = shapes.start("-y", str(shapes.inventory), "deploys/cluster.py")
    said, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, said[-9000:]
    assert artifact.exists()
    assert shapes.ssh(FEDORA, WORKER).strip() == f"{release.path}/bin/ggml-rpc-server"
    version = shapes.ssh(FEDORA, "gcc -dumpfullversion").strip()
    assert f" {version}\n" in shapes.ssh(FEDORA, MADE_BY)
    assert f" {version}\n" not in shapes.ssh(UBUNTU, MADE_BY)  # Debian's, which was lent to it

    answers_through_both(shapes)
