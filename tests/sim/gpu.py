"""What stands around a GPU stack: AMD's repository, and what vulkaninfo and rocminfo say to a user.

Sources: vulkaninfo of Mesa's lavapipe 22.3.6 (run by halofleet) and of RADV (hosts.md, appendix A; the form of a block:
a report from Ubuntu 24.04); of AMDVLK: GPUOpen-Drivers/AMDVLK issue 420; rocminfo: ROCm/rocm-libraries issue 10506 and
the report of a user without the group render; apt: bookworm's 2.6.1 against a repository of halofleet's own; dnf5:
rpm-software-management/dnf5 issue 1666, tuna/issues 2498; and dnf 5.4.6 with rpm 6.1 against a repository of
halofleet's own: dnf is content with a repository that does not answer, unless it is told not to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from roles.gpu import key
from tests.sim.files import Files
from tests.sim.packages import Packages
from tests.sim.shell import Call, NotModelled, Reply

HEAD = """\
'DISPLAY' environment variable not set... skipping surface info
error: XDG_RUNTIME_DIR is invalid or not set in the environment.
==========
VULKANINFO
==========

Vulkan Instance Version: 1.4.341

Devices:
========
"""
RADV = """\
GPU{number}:
\tdeviceType         = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
\tdeviceName         = Radeon 8060S Graphics (RADV {name})
\tdriverID           = DRIVER_ID_MESA_RADV
\tdriverName         = radv
\tdriverInfo         = Mesa {version}
"""
AMDVLK = """\
GPU{number}:
\tdeviceType         = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
\tdeviceName         = Radeon 8060S Graphics
\tdriverID           = DRIVER_ID_AMD_OPEN_SOURCE
\tdriverName         = AMD open-source driver
\tdriverInfo         = 2025.Q2.1 (LLPC)
"""
LLVMPIPE = """\
GPU{number}:
\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU
\tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
\tdriverID           = DRIVER_ID_MESA_LLVMPIPE
\tdriverName         = llvmpipe
\tdriverInfo         = Mesa {version} (LLVM 15.0.6)
"""
NO_DRIVER = """\
ERROR: [Loader Message] Code 0 : vkCreateInstance: Found no drivers!
Cannot create Vulkan instance.
"""
ROCMINFO = """\
ROCk module is loaded
=====================
HSA System Attributes
=====================
Runtime Version:         1.21
Runtime Ext Version:     1.26

==========
HSA Agents
==========
*******
Agent 1
*******
  Name:                    AMD RYZEN AI MAX+ 395 w/ Radeon 8060S
  Uuid:                    CPU-XX
  Marketing Name:          AMD RYZEN AI MAX+ 395 w/ Radeon 8060S
*******
Agent 2
*******
  Name:                    {gfx}
  Marketing Name:          AMD Radeon Graphics
  Vendor Name:             AMD
  ISA Info:
    ISA 1
      Name:                    amdgcn-amd-amdhsa--{gfx}
*** Done ***
"""
NO_KFD = """\
ROCk module is loaded
Unable to open /dev/kfd read-write: Permission denied
{user} is not member of "render" group, the default DRM access group.
Users must be a member of the "render" group or another DRM access group
in order for ROCm applications to run successfully.
"""
REFRESH = ("-qq", "-o", "APT::Update::Error-Mode=any", "-o", "APT::Get::List-Cleanup=0", "-o")


class Gpu:
    """Programs: runuser, rpmkeys. web: what AMD's repository has, by URL; it answers 404 for others. signer: the
    fingerprint that its packages are signed with. card: the GPU is there, and called so. kept: keys that rpm knows."""

    BRINGS: ClassVar = {
        f"amdrocm-base{series}": (f"/opt/rocm/core-{series}/bin/rocminfo",) for series in ("10.0", "10.1")
    }

    def __init__(self, root: Path, files: Files, packages: Packages) -> None:
        self.root, self.files, self.packages = root, files, packages
        self.web: dict[str, frozenset[str]] = {}
        self.signer = ""
        self.card, self.gfx = "STRIX_HALO", "gfx1151"
        self.kept: list[str] = []

    # --- AMD's repository

    def _source(self, text: str) -> tuple[str, str]:
        """(its URL, its key's file) of deb822 or of a .repo."""
        url = re.search(r"^(?:URIs: |baseurl=)(.*)$", text, re.M)
        signed = re.search(r"^(?:Signed-By: |gpgkey=file://)(.*)$", text, re.M)
        assert url
        assert signed
        return url[1], signed[1]

    def _trusted(self, path: str) -> bool:
        file = self.files.real(path)
        return file.is_file() and key.fits(file.read_text(), self.signer)

    def refresh(self, call: Call) -> Reply:
        """Only this source, from aside."""
        match call.program, call.words:
            case "apt-get", ["update", *options, parts] if tuple(options[:-2]) == REFRESH and options[-2:] == [
                "Dir::Etc::SourceList=/dev/null",
                "-o",
            ]:
                folder = parts.removeprefix("Dir::Etc::SourceParts=")
            case "dnf", ["makecache", "-y", "--repo=halofleet-amdrocm", setopt, *strict] if strict in (
                [],
                ["--setopt=halofleet-amdrocm.skip_if_unavailable=False"],
            ):
                folder = setopt.removeprefix("--setopt=reposdir=")
            case _:
                raise NotModelled(call)
        (file,) = self.files.real(folder).iterdir()
        url, signed = self._source(file.read_text())
        if url not in self.web:
            if call.program == "dnf" and len(call.words) == 4:
                return Reply("Metadata cache created.\n", ">>> Usable URL not found\nRepositories loaded.\n")
            return Reply(stderr=self._not_found(call.program, url), status=100 if call.program == "apt-get" else 1)
        if call.program == "apt-get" and not self._trusted(signed):
            site = f"{url.rstrip('/')} stable InRelease"
            error = (
                f"W: GPG error: {site}: The following signatures couldn't be verified because the public key is not "
                f"available: NO_PUBKEY {self.signer[-16:]}\nE: The repository '{site}' is not signed.\n"
            )
            return Reply(stderr=error, status=100)
        return Reply()

    def _not_found(self, program: str, url: str) -> str:
        if program == "apt-get":
            return f"E: The repository '{url.rstrip('/')} stable Release' does not have a Release file.\n"
        return (
            f">>> Status code: 404 for {url}/repodata/repomd.xml\n>>> Usable URL not found\n"
            f'Failed to download metadata (baseurl: "{url}") for repository "halofleet-amdrocm": Usable URL not found\n'
        )

    def unsigned(self, names: Iterable[str]) -> str:
        """dnf looks at signatures when everything is downloaded."""
        file = self.root / "etc/yum.repos.d/halofleet-amdrocm.repo"
        if not file.is_file():
            return ""
        url, signed = self._source(file.read_text())
        wrong = [name for name in names if name in self.web.get(url, ())]
        if not wrong or self._trusted(signed):
            return ""
        return (
            f'Transaction failed: Signature verification failed.\nOpenPGP check for package "{wrong[0]}" '
            f'from repo "halofleet-amdrocm" has failed: Import of the key didn\'t help, wrong key?\n'
        )

    def offers(self, name: str) -> bool:
        """Whether the package can be installed: the distribution's always, AMD's from its repository alone."""
        if not name.startswith("amdrocm"):
            return True
        for place in ("etc/apt/sources.list.d/halofleet-amdrocm.sources", "etc/yum.repos.d/halofleet-amdrocm.repo"):
            file = self.root / place
            if file.is_file():
                url, signed = self._source(file.read_text())
                if place.endswith(".repo") and self._trusted(signed):
                    self.kept = [self.signer.lower()]
                return name in self.web.get(url, ()) and self._trusted(signed)
        return False

    def rpmkeys(self, call: Call) -> Reply:
        match call.words:
            case ["--delete", fingerprint] if fingerprint in self.kept:
                self.kept.remove(fingerprint)
                return Reply()
            case ["--delete", fingerprint]:
                return Reply(status=1)  # what it says is not looked at
        raise NotModelled(call)

    # --- what a user sees

    def runuser(self, call: Call) -> Reply:
        match call.words:
            case ["-u", user, "--", "env", "AMD_VULKAN_ICD=RADV", "vulkaninfo", "--summary"]:
                return self._vulkaninfo(user)
            case ["-u", user, "--", path] if path in (file for files in self.BRINGS.values() for file in files):
                if "render" in self.files.members(user):
                    return Reply(ROCMINFO.replace("{gfx}", self.gfx))
                return Reply(NO_KFD.replace("{user}", user), status=1)
        raise NotModelled(call)

    def _vulkaninfo(self, user: str) -> Reply:
        if "mesa-vulkan-drivers" not in self.packages.installed:
            return Reply(stderr=NO_DRIVER, status=1)
        blocks = [LLVMPIPE]
        if self.card and "render" in self.files.members(user):
            other = self.files.real("/etc/vulkan/icd.d/amd_icd64.json").exists()
            blocks = [AMDVLK if other else RADV, LLVMPIPE]  # it hijacks RADV
        values = {"name": self.card, "version": self.packages.flavour.mesa}
        return Reply(HEAD + "".join(block.format(number=number, **values) for number, block in enumerate(blocks)))
