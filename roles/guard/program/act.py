"""What the guard does: ends a service so that systemd starts it again, and has TCP ask sooner for the other end.

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
connection: after 100 s. A host that was started anew answers the first with a reset.
"""

TCP_RTO_MAX_MS = 44
"""Linux 6.15, linux/tcp.h; Python has no name for it."""

AGAIN_MS = 20_000
"""At most so long between two tries to get data through that nobody acknowledges. Without it the time doubles with
each, up to 51 s with tcp_retries2 at 8 (roles/network/data/settings.yml): in the worst case it takes as long after a
link's outage as the outage took until it is found to be back. With it such a connection is given up after
25.4 + 2 * 20 = 65 s (the kernel's tcp_model_timeout(); 102 s without it), so that a link that is down for half a minute
still costs no model's loading.
TCP_USER_TIMEOUT would allow for more tries, and would also end a connection whose worker computes for long and lets
what comes next wait (a window of zero).
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
    """Turns it on for a connection of another process, and bounds the time until data that was not acknowledged is
    sent again. llama.cpp does neither, and so waits for ever for a peer that lost its power. Nothing is sent on the
    connection but what TCP itself sends. Raises OSError."""
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
        with suppress(OSError):  # Linux before 6.15 does not know it
            connection.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS, AGAIN_MS)
