"""The disk that every virtual machine starts from: built once, kept in the cache under a name made of its recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from inventory.spec.home import cache
from roles.virtual_host.seed import new_key
from tests.vm.machine import Machine

SUITE = "trixie"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "sudo", "iproute2", "iputils-ping",
    "ca-certificates", "curl", "procps", "e2fsprogs", "zstd", "linux-image-amd64", "initramfs-tools", "grub2-common",
    "grub-pc-bin",
)  # fmt: skip
SELINUX = ("selinux-policy-default", "auditd")
"""More packages: with Debian's policy among them every file is labelled, and the policy is enforced."""
SCRIPT = Path(__file__).with_name("build_disk.sh")

SETTLE = """\
[Unit]
After=systemd-remount-fs.service local-fs.target

[Service]
Type=oneshot
StandardOutput=journal+console
StandardError=journal+console
ExecStart=/bin/sh -ec 'update-grub; sync; echo settled'
ExecStopPost=/bin/systemctl --no-block poweroff
"""
"""The first boot: GRUB's menu as the guest itself writes it."""


@dataclass(frozen=True)
class Image:
    folder: Path
    passphrase: str = ""
    """That its machines ask for at boot."""
    labelled: bool = False
    """SELinux enforces Debian's policy in it."""

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def key(self) -> Path:
        """root's, for every machine."""
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> str:
        """The same in every machine, so that nobody waits for keys to be made."""
        return (self.folder / "ssh_host_ed25519_key.pub").read_text().strip()

    def machine(self, folder: Path) -> Path:
        """A disk of its own, as sparse as this one."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run(["cp", "--sparse=always", self.disk, folder / "disk.raw"], check=True)
        return folder


def digest(packages: tuple[str, ...]) -> str:
    recipe = (SUITE, *packages, SETTLE, SCRIPT.read_text())
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:12]


def image(*more: str, passphrase: str = "") -> Image:
    """From the cache, or built, with these packages besides. One at a time here; who had to wait finds it made.

    passphrase: of its encrypted root; left out: not encrypted.
    """
    packages = (*PACKAGES, *more)
    folder = cache("vm") / f"{SUITE}-{digest((*packages, passphrase))}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"building a disk with a kernel and a boot loader in {folder}", file=sys.stderr)
            _build(folder, packages, passphrase)
    return Image(folder, passphrase, "selinux-policy-default" in packages)


def _build(folder: Path, packages: tuple[str, ...], passphrase: str) -> None:
    scratch = folder.with_suffix(".building")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    login, host = new_key(), new_key()
    _write(scratch / "id_ed25519", login.private)
    _write(scratch / "authorized_keys", login.public + "\n")
    _write(scratch / "ssh_host_ed25519_key", host.private)
    _write(scratch / "ssh_host_ed25519_key.pub", host.public + "\n")
    command = ["sh", str(SCRIPT), str(scratch), SUITE, ",".join(packages), str(uuid.uuid4()), passphrase]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the disk cannot be built: {done.stderr[-2000:]}"
    settling = Machine(
        "settling",
        scratch,
        scratch / "id_ed25519",
        host.public,
        units={"settle.service": SETTLE},
        passphrase=passphrase,
    )
    settling.power_on()
    try:
        settling.wait_off()
    finally:
        settling.kill()
    assert "settled" in settling.tail(200), f"the first boot went wrong: {settling.failure}\n{settling.tail()}"
    scratch.rename(folder)


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
