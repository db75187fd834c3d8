"""What is refused before any host is contacted, through pyinfra's own command line. Needs no lab."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.harness import PYINFRA, ROOT

BROKEN = {
    "missing": (None, "test.yml"),
    "not-yaml": ("nodes: [", ": not YAML"),
    "unknown-key": ("workers: 1", 'unknown key "workers"'),
    "wrong-type": ("halo1: {id: 1,=halo1: {id: one,", 'nodes.halo1.id: "one" must be a whole number'),
    "duplicate-address": ("10.43.0.12=10.43.0.11", "10.43.0.11"),
    "own-worker": ("workers: [halo2,=workers: [halo1,", "halo1"),
    "no-link": ("  - usb4: [halo2, halo3]\n  - usb4: [halo3, halo1]\n=", "halo3"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_refused_before_any_ssh(case: str, tmp_path: Path) -> None:
    change, expected = BROKEN[case]
    (tmp_path / "test.py").write_text((ROOT / "inventory/lab.py").read_text())
    if change is not None:
        text = (ROOT / "inventory/lab.yml").read_text()
        old, found, new = change.partition("=")
        (tmp_path / "test.yml").write_text(text.replace(old, new) if found else f"{text}\n{change}\n")
    done = subprocess.run(
        [*PYINFRA, "-y", "--json", str(tmp_path / "test.py"), "deploys/cluster.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Connecting" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
