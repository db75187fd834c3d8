"""What the guard does: ends a service so that systemd starts it again, and has TCP ask whether the other end lives.

A service is always killed: llama-server ignores SIGTERM while a worker does not answer, and neither has anything to
save. systemd starts it again (Restart=always), unless somebody has stopped it in the meantime: then it stays stopped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from contextlib import suppress

from .look import PATIENCE
from .seen import Unit

IDLE, EVERY, TIMES = 10, 10, 9
"""Keepalive: seconds of silence before the first question, between two, and how many without an answer end the
connection: after 100 s, like data that nobody acknowledges (roles/network/data/settings.yml: 102 s), so that a link
that is down for a minute costs no model's loading. A host that was started anew answers the first with a reset.
"""

PIDFD_GETFD = 438
"""The system call, by the same number on every architecture since Linux 5.6; Python has no name for it."""


def end(name: str, unit: Unit) -> str:
    """What was done, for the log."""
    if unit.active == "failed":
        _systemctl("reset-failed", name)
        _systemctl("start", "--no-block", name)
        return "started"
    if not _systemctl("kill", "--signal=SIGKILL", name) and unit.pid:
        with suppress(ProcessLookupError):
            os.kill(unit.pid, signal.SIGKILL)
    return "killed; systemd starts it again"


def _systemctl(*words: str) -> bool:
    try:
        command = ["systemctl", *words]
        return not subprocess.run(command, timeout=PATIENCE, stdin=subprocess.DEVNULL, capture_output=True).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def keepalive(pid: int, descriptor: int) -> None:
    """Turns it on for a connection of another process: llama.cpp does not, and so waits for ever for a peer that lost
    its power. Nothing is sent on the connection but what TCP itself sends. Raises OSError."""
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copy = libc.syscall(PIDFD_GETFD, process, descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
    with socket.socket(fileno=copy) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, EVERY)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, TIMES)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
