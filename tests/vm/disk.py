"""A guest's first partition as a boot loader sees it: from the disk, without the guest, while it is off."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.vm.qemu import Direct

PARTITION = 1 << 20
CONSOLE = "quiet console=ttyS0,115200"


def read(disk: Path, path: str) -> str | None:
    """A file's text. None where there is none."""
    done = _debugfs(disk, f"cat {path}")
    return None if "File not found" in done.stderr else done.stdout


def direct(disk: Path, folder: Path) -> Direct:
    """Its only kernel with its initramfs, copied into this folder for QEMU to boot."""
    # `/INODE/MODE/UID/GID/NAME/SIZE/`
    names = [line.split("/")[5] for line in _debugfs(disk, "ls -p /boot").stdout.splitlines() if line]
    (release,) = [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]
    kernel, initramfs = folder / "vmlinuz", folder / "initrd.img"
    _debugfs(disk, f"dump /boot/vmlinuz-{release} {kernel}")
    _debugfs(disk, f"dump /boot/initrd.img-{release} {initramfs}")
    assert min(kernel.stat().st_size, initramfs.stat().st_size), f"{disk}: {release} has no kernel or no initramfs"
    root = (read(disk, "/etc/fstab") or "").split()[0]
    return Direct(kernel, initramfs, f"root={root} ro {CONSOLE}")


def _debugfs(disk: Path, request: str) -> subprocess.CompletedProcess[str]:
    command = ["debugfs", "-R", request, f"{disk}?offset={PARTITION}"]
    return subprocess.run(command, capture_output=True, text=True, check=True)
