"""How patient the guard of a controller is, by what its workers compute with."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.spec import load
from roles.guard.plan import plan

PAIR = Path(__file__).parents[2] / "inventory/examples/pair-usb4.yml"


@pytest.mark.parametrize(
    ("controller", "worker", "quiet"),
    [("vulkan", "vulkan", 60.0), ("cpu", "vulkan", 60.0), ("vulkan", "cpu", 300.0), ("cpu", "cpu", 300.0)],
)
def test_how_busy_a_worker_s_cpu_is_cannot_be_seen_from_its_controller(
    tmp_path: Path, controller: str, worker: str, quiet: float
) -> None:
    """With 60 s a llama-server was killed whose workers were still at their first piece, on a busy machine."""
    text = PAIR.read_text()
    for number, backend in enumerate((controller, worker), 1):
        text = text.replace(f"{{id: {number},", f"{{id: {number}, backend: {backend},")
    (tmp_path / "lab.yml").write_text(text)
    guard = plan(load(tmp_path / "lab.yml"), "halo1")
    assert guard
    assert (guard.config.servers[0].quiet, guard.config.servers[0].mute) == (quiet, 300.0)
