"""A HIP compiler where there is no GPU: Debian's, laid out as AMD's packages are. Built once (2 GB, two minutes), kept
in the cache under a name made of its recipe. Good for compiling; nothing that it links would run on a real box.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from inventory.spec.home import cache
from roles.lib.layout import BUILDS
from roles.llama_cpp.plan import build_packages
from tests.vm.harness import install, missing_packages

SUITE = "forky"
"""trixie's HIP is 5.7; llama.cpp wants 6.1."""

HIP = ("hipcc", "libamdhip64-dev", "libhipblas-dev", "librocblas-dev")
"""In place of AMD's amdrocm-core-dev. The compiler for the host, cmake and ninja are those that every node gets."""

TOOLS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux"}
"""Of this machine: programs, and the Debian package of each."""

BUILD, ENTER = (Path(__file__).with_name(name) for name in ("build_toolchain.sh", "in_toolchain.sh"))


def impossible() -> str:
    """Why there can be none; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "a tree of Debian's packages is made and entered, and that needs root"
    if platform.machine() != "x86_64":
        return f"a Strix Halo box is x86_64, this machine is {platform.machine()}"
    missing = missing_packages(TOOLS)
    if missing and shutil.which("apt-get") is None:
        return f"not installed: {', '.join(missing)} (Debian's names)"
    return ""


@dataclass(frozen=True)
class Toolchain:
    root: Path

    def run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Inside, with the folder as the place of builds. Whatever it started is gone when it has ended."""
        spaces = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
        return subprocess.run(
            [*spaces, "sh", str(ENTER), str(self.root), str(folder), BUILDS, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def toolchain(prefix: str) -> Toolchain:
    """From the cache, or built. prefix: where ROCm is to be. One at a time here; who had to wait finds it made."""
    packages = (*build_packages("cpu")["apt"], *HIP)
    recipe = (SUITE, *packages, prefix, BUILDS, BUILD.read_text())
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:12]
    folder = cache("hip") / f"{SUITE}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"installing a HIP compiler in {folder}", file=sys.stderr)
            if missing := missing_packages(TOOLS):
                install(missing)
            scratch = folder.with_suffix(".building")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o755)
            command = ["sh", str(BUILD), str(scratch), SUITE, ",".join(packages), prefix, BUILDS]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"the HIP compiler cannot be installed: {done.stderr[-2000:]}"
            (scratch / "root").rename(folder)
            shutil.rmtree(scratch)
    return Toolchain(folder)
