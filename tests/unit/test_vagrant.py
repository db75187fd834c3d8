"""The Vagrantfile: Vagrant itself accepts it, with each provider that is here, and its lab is a lab."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inventory.spec import load

ROOT = Path(__file__).parents[2]


def test_its_lab_loads_without_a_warning_and_takes_the_names_that_the_vagrantfile_gives() -> None:
    lab = load(ROOT / "inventory/vagrant.yml")
    assert lab.warnings == ()
    assert sorted({node.os for node in lab.nodes.values()}) == ["fedora-43", "ubuntu-26.04"]
    assert [end.interface for end in lab.ends("halo2")] == ["link12", "link23"]
    assert (ROOT / "inventory/vagrant.py").read_text() == (ROOT / "inventory/lab.py").read_text()


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed (Debian: vagrant)")
@pytest.mark.parametrize("provider", ["", "libvirt"])
def test_vagrant_accepts_it(provider: str, tmp_path: Path) -> None:
    """Without a provider its own settings are not looked at."""
    if provider and not list(Path("/usr/share/rubygems-integration").rglob(f"vagrant-{provider}*.gemspec")):
        pytest.skip(f"the plugin for {provider} is not installed (Debian: vagrant-{provider})")
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    shutil.copy(ROOT / "Vagrantfile", tmp_path)
    words = ["vagrant", "validate", *([] if provider else ["--ignore-provider"])]
    quiet = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DEFAULT_PROVIDER": provider}
    done = subprocess.run(words, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Vagrantfile validated successfully." in done.stdout
