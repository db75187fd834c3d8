"""Share this machine's net.ipv4.ip_forward between labs: `forwarding.py need|release FULL_NAME BRIDGE`.

The first lab that needs it and finds it off turns it on, and the last one that goes turns it off again. The record is
in /run, which ends with the machine's uptime, as the setting does. Standard library only.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path

SETTING = Path("/proc/sys/net/ipv4/ip_forward")
RECORD = Path("/run/halofleet/forwarding")
WAS_OFF = RECORD / "was-off"
USERS = RECORD / "users"
"""A file for each lab; it holds the name of the lab's bridge, without which the lab is no more."""


def need(lab: str, bridge: str) -> None:
    """Every step may be the last one before a crash: the record is always ahead of the setting."""
    USERS.mkdir(parents=True, exist_ok=True)
    (USERS / lab).write_text(bridge)
    if SETTING.read_text().strip() == "0":
        WAS_OFF.touch()
        SETTING.write_text("1")


def release(lab: str) -> None:
    others = [
        user
        for user in USERS.glob("*")
        if user.name != lab and Path("/sys/class/net", user.read_text() or "-").exists()
    ]
    if not others:
        if WAS_OFF.exists():
            SETTING.write_text("0")
        shutil.rmtree(RECORD, ignore_errors=True)
    (USERS / lab).unlink(missing_ok=True)


def main() -> None:
    verb, lab, bridge = sys.argv[1:]
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with (RECORD.parent / "forwarding.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        need(lab, bridge) if verb == "need" else release(lab)


if __name__ == "__main__":
    main()
