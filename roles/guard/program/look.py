"""Looks at units, processes and connections. Reads only, and connects to nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .seen import Process, Socket, Unit

PROC = Path("/proc")
PATIENCE = 5
"""Seconds for a command: the watchdog is not much longer."""


def units(names: Iterable[str]) -> dict[str, Unit]:
    wanted = list(names)
    asked = "Id,ActiveState,MainPID,InvocationID,Result,ExecStart"
    said = _run("systemctl", "show", "-p", asked, "--", *wanted)
    found = {}
    for block in said.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            found[values["Id"]] = Unit(
                active=values.get("ActiveState", ""),
                pid=int(values.get("MainPID") or 0),
                invocation=values.get("InvocationID", ""),
                command=values.get("ExecStart", ""),
                result=values.get("Result", ""),
            )
    return {name: found.get(name, Unit()) for name in wanted}


def process(pid: int, proc: Path = PROC) -> Process | None:
    """None where it is gone. Raises PermissionError: of what may not be looked at nothing is known, least of all that
    it is well or has no connections."""
    folder = proc / str(pid)
    try:
        # The name, in brackets, may have anything in it.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        io = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        sockets = _descriptors(folder)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    # Not wchar: lines for the journal count there, and it writes one because it was asked for its slots.
    disk = sum(int(io[key]) for key in ("rchar", "read_bytes", "write_bytes"))
    return Process(fields[0], cpu, disk, sockets)


def _descriptors(folder: Path) -> dict[int, int]:
    """Inode -> descriptor, of the process's sockets. Raises OSError."""
    found = {}
    for entry in (folder / "fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # closed since
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            found[int(match[1])] = int(entry.name)
    return found


def sockets(ports: Iterable[int]) -> tuple[Socket, ...]:
    """All TCP sockets with one of the ports at either end."""
    either = " or ".join(f"sport = :{port} or dport = :{port}" for port in sorted(set(ports)))
    return parsed(_run("ss", "-tanieoOH", f"( {either} )")) if either else ()


def parsed(text: str) -> tuple[Socket, ...]:
    """What `ss -tanieoOH` says."""
    return tuple(_socket(line) for line in text.splitlines() if len(line.split()) >= 5)


def _socket(line: str) -> Socket:
    state, unread, unsent, local, peer, *_ = line.split()

    def number(name: str) -> float:
        found = re.search(rf" {name}:(\d+)", line)
        return float(found[1]) if found else 0

    taken = int(number("bytes_received")) - int(unread)
    given = int(number("bytes_acked")) + int(unsent)
    return Socket(
        state, local, peer, int(unread), int(number("ino")), taken, given, number("lastrcv") / 1000,
        " timer:(keepalive," in line,
    )  # fmt: skip


def holder(local: str, seen: Iterable[Socket], proc: Path = PROC) -> str:
    """Who listens there, for a person; empty where nobody does. Looks through every process: for the rare case."""
    inodes = {socket.inode for socket in seen if socket.state == "LISTEN" and _covers(socket.local, local)}
    if not inodes:
        return ""
    for folder in proc.iterdir():
        try:
            if folder.name.isdigit() and inodes & _descriptors(folder).keys():
                return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except OSError:
            continue
    return "a process that is not to be seen from here"


def _covers(listening: str, wanted: str) -> bool:
    address, _, port = listening.rpartition(":")
    return listening == wanted or (address in ("*", "0.0.0.0", "[::]") and port == wanted.rpartition(":")[2])  # noqa: S104


def _run(*command: str) -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or f'ended with {done.returncode}'}")
    return done.stdout
