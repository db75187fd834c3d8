"""What is on the PATH of a simulated host: this machine's own text tools, and stubs that ask the model."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

REAL = frozenset(
    re.findall(
        r"\S+",
        "awk base64 basename cat chmod cmp cp cut dirname env expr false find flock getconf grep gzip head iconv "
        "install ln ls mkdir mktemp mv printf readlink rm rmdir sed seq sh sha256sum sort sync tail tar tee test "
        "timeout touch tr true uniq wc xargs",
    )
)
"""Programs that only touch files and text: the real ones run."""

OPTIONAL = frozenset(
    re.findall(
        r"\S+",
        "apt-get arping busctl cc clevis cmake cmp dnf dpkg dpkg-query dracut find firewall-cmd grubby gzip iperf3 "
        "iptables lastlog lastlogin lsinitramfs lsinitrd modprobe nft ninja nmcli ping restorecon rpm rpmkeys strip "
        "tar tuned-adm udevadm ufw update-grub update-initramfs vulkaninfo xargs",
    )
)
"""Programs that some hosts do not have: they are on the PATH only where the model puts them."""

# One at a time: a script may run several at once, and the model answers through one pipe.
STUB = r"""#!/bin/sh
exec 9>"$SIM_ASK.lock"
flock 9
printf '%s\0' "$#" "${0##*/}" "$SIM_USER" "$PWD" "$@" >"$SIM_ASK"
read -r go <"$SIM_ANSWER"
. "$SIM_REPLY"
"""
SUDO = """#!/bin/sh
[ "$1 $2" = "-H -n" ] || exec sudo-with-other-options "$@"
shift 2
SIM_USER=root
export SIM_USER
exec "$@"
"""


@cache
def shared_programs() -> Path:
    """A folder for the PATH: the real programs, and a stub for every other one that this machine has."""
    keep = tempfile.TemporaryDirectory(prefix="halofleet-sim-")
    atexit.register(keep.cleanup)
    folder = Path(keep.name)
    stub = folder / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    (folder / "sudo").write_text(SUDO)
    (folder / "sudo").chmod(0o755)
    for place in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for name in {path.name for path in Path(place).glob("*")} - OPTIONAL - REAL:
            if not (folder / name).exists():
                (folder / name).symlink_to(stub)
    for name in REAL - OPTIONAL:
        (folder / name).symlink_to(real(name))
    return folder


def real(name: str) -> str:
    """Where this machine has the program."""
    found = shutil.which(name)
    assert found, f"this machine has no {name}"
    return found
