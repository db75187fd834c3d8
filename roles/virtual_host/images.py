"""Which base trees the hosts of a lab are made of, and how each is built. Pure, but that it reads this role's scripts.

A Debian is the Debian that `virtual:` names. Fedora and Ubuntu come from their mirrors where lab.yml gives those;
elsewhere a stand-in is made of Debian forky, which has dnf5, rust-coreutils and sudo-rs.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inventory.spec.language.nodes import UBUNTU_SUITES, Mirror, Virtual

Shape = Literal["debian", "ubuntu", "fedora"]
"""How the management interface is set up: a file of networkd, of netplan, of NetworkManager."""

MACHINE = Path(__file__).parent / "machine"
MIB = 1024 * 1024

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "iputils-ping", "ca-certificates",
    "curl", "procps", "udev", "kmod",
)  # fmt: skip
"""Inside every host: what Debian's own installer leaves, as far as a container needs it."""

IMAGE_FORMAT = 1
"""Raise it when tree_debian.sh makes a different image of the same packages."""

FORKY = "forky"
UBUNTU_PACKAGES = (*PACKAGES, "netplan.io", "python3")
UBUNTU_LIKE = (*PACKAGES, "rust-coreutils", "sudo-rs", "dracut", "netplan.io")

FEDORA_LIKE = (*PACKAGES, "dnf5", "rpm", "createrepo-c", "gpg", "gpg-agent", "network-manager", "firewalld", "nftables")
FEDORA_FIRST = (
    "NetworkManager", "ca-certificates", "curl", "dnf5", "findutils", "firewalld", "gzip", "iproute", "nftables",
    "openssh-server", "procps-ng", "python3", "rpm", "sudo", "systemd", "tar",
)  # fmt: skip
"""What Fedora's installer leaves, as far as the tree has it."""
FEDORA_RPMS = {
    "NetworkManager": ":network-manager",
    "ca-certificates": ":ca-certificates",
    "chrony": "=chrony",
    "cmake": "=cmake",
    "curl": ":curl",
    "diffutils": "<diffutils:/usr/bin/*",
    "dnf5": ":dnf5",
    "findutils": ":findutils",
    "firewalld": ":firewalld",
    "gcc": "=gcc",
    "gcc-c++": "=g++",
    "glslc": "=glslc",
    "gzip": ":gzip",
    "iperf3": "=iperf3",
    "iproute": ":iproute2",
    "libatomic": ":libatomic1",
    "iputils": "=iputils-arping",
    "libgomp": ":libgomp1",
    "libquadmath": "=libquadmath0",
    "make": "=make",
    "mesa-vulkan-drivers": "=mesa-vulkan-drivers",
    "nftables": ":nftables",
    "ninja-build": "=ninja-build",
    "openssh-server": ":openssh-server",
    "pkgconf-pkg-config": "=pkgconf",
    "procps-ng": ":procps",
    "python3": ":python3",
    "rpm": ":rpm",
    "spirv-headers-devel": "=spirv-headers",
    "sudo": ":sudo",
    "systemd": ":systemd",
    "systemd-networkd": "<systemd:*networkd*,*/networkctl",
    "tar": ":tar",
    "vulkan-loader": "=libvulkan1",
    "vulkan-loader-devel": "=libvulkan-dev",
    "vulkan-tools": "=vulkan-tools",
}
"""By Fedora's name, what the stand-in's repository has for it (make_rpms.py): = what Debian packages carry, < files
that leave the tree for it, : what is in the tree and stays there. All that roles install on dnf hosts must be here."""

FEDORA_PACKAGES = (
    "fedora-release-server", "systemd", "dbus-broker", "openssh-server", "sudo", "iproute", "iputils", "dnf5", "curl",
    "ca-certificates", "procps-ng", "kmod", "NetworkManager", "firewalld", "nftables", "findutils", "tar", "gzip",
    "passwd", "util-linux", "hostname", "glibc-minimal-langpack",
)  # fmt: skip
"""Of a real Fedora."""


@dataclass(frozen=True)
class Image:
    """A base tree as a tarball, and the way to make it."""

    name: str
    """What it is, and a digest of the recipe: the name in the cache, and of the unpacked tree."""
    shape: Shape
    says: str
    """For people."""
    needs: int
    """Bytes: of the tarball, and of the tree unpacked."""
    method: str
    """A script of machine/."""
    arguments: tuple[str, ...]


def image(os: str, virtual: Virtual) -> Image:
    """The base tree of a node. os: ID-VERSION_ID; the loader has refused what cannot be had."""
    if os.startswith("fedora-"):
        release = os.removeprefix("fedora-")
        return _fedora(release, virtual.fedora) if virtual.fedora else _fedora_like(release, virtual.mirror)
    if os.startswith("ubuntu-"):
        return _ubuntu(os, virtual.ubuntu) if virtual.ubuntu else _ubuntu_like(os, virtual.mirror)
    return _debian(virtual)


def _debian(virtual: Virtual) -> Image:
    words = (str(IMAGE_FORMAT), virtual.suite, virtual.mirror or "", platform.machine(), *PACKAGES)
    arguments = (virtual.suite, ",".join(PACKAGES), virtual.mirror or "")
    return Image(
        f"{virtual.suite}-{_digest(words)}", "debian", f"Debian {virtual.suite}", 400 * MIB, "tree_debian.sh", arguments
    )


def _fedora_like(release: str, mirror: str | None) -> Image:
    rpms = [f"{name}{source}" for name, source in FEDORA_RPMS.items()]
    shape = ("shape_fedora.sh", release, *FEDORA_FIRST, "--", *rpms)
    scripts = ("tree_debian.sh", "shape_fedora.sh", "make_rpms.py")
    arguments = (FORKY, ",".join(FEDORA_LIKE), mirror or "", *shape)
    return _image(f"fedora-{release}-like", "fedora", f"stand-in for Fedora {release}", 900 * MIB, scripts, arguments)


def _ubuntu_like(os: str, mirror: str | None) -> Image:
    version = os.removeprefix("ubuntu-")
    scripts = ("tree_debian.sh", "shape_ubuntu.sh")
    arguments = (FORKY, ",".join(UBUNTU_LIKE), mirror or "", "shape_ubuntu.sh", version, UBUNTU_SUITES[os])
    return _image(f"{os}-like", "ubuntu", f"stand-in for Ubuntu {version}", 600 * MIB, scripts, arguments)


def _ubuntu(os: str, mirror: Mirror) -> Image:
    arguments = (UBUNTU_SUITES[os], ",".join(UBUNTU_PACKAGES), mirror.mirror, "", str(mirror.key))
    return _image(os, "ubuntu", f"Ubuntu {UBUNTU_SUITES[os]}", 600 * MIB, ("tree_debian.sh",), arguments)


def _fedora(release: str, mirror: Mirror) -> Image:
    arguments = (release, platform.machine(), mirror.mirror, str(mirror.key), *FEDORA_PACKAGES)
    return _image(f"fedora-{release}", "fedora", f"Fedora {release}", 900 * MIB, ("tree_fedora.sh",), arguments)


def _image(
    label: str, shape: Shape, says: str, needs: int, scripts: tuple[str, ...], arguments: tuple[str, ...]
) -> Image:
    """scripts: all that take part, the one to call first. Another text of theirs is another image."""
    texts = [(MACHINE / script).read_text() for script in scripts]
    name = f"{label}-{_digest((platform.machine(), *texts, *arguments))}"
    return Image(name, shape, says, needs, scripts[0], arguments)


def _digest(words: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]
