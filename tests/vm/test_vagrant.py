"""The Vagrantfile: Vagrant itself accepts it, with each provider that Debian has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.harness import ROOT
from tests.vm.harness import install

PACKAGES = ("vagrant", "vagrant-libvirt")


@pytest.fixture(scope="module")
def vagrant() -> str:
    """The program. Where it cannot be had the tests are skipped, with the reason; in CI that fails."""
    plugin = list(Path("/usr/share/rubygems-integration").rglob("vagrant-libvirt*.gemspec"))
    if shutil.which("vagrant") and plugin:
        return "vagrant"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install(PACKAGES)
        return "vagrant"
    reason = f"not installed: {' '.join(PACKAGES)} (Debian's names)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.parametrize("provider", ["", "libvirt"])
def test_vagrant_accepts_it(vagrant: str, provider: str, tmp_path: Path) -> None:
    """Without a provider its own settings are not looked at."""
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    shutil.copy(ROOT / "Vagrantfile", tmp_path)
    words = [vagrant, "validate", *([] if provider else ["--ignore-provider"])]
    quiet = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DEFAULT_PROVIDER": provider}
    done = subprocess.run(words, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Vagrantfile validated successfully." in done.stdout
