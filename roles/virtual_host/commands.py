"""Command lines for this role, every value quoted; and our own code as a command."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pyinfra import logger, state
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand

from inventory.spec.home import cache
from roles.lib.stop import Refused
from roles.virtual_host.facts import LabState, Seen
from roles.virtual_host.names import Instance
from roles.virtual_host.wanted import Wanted

MACHINE = Path(__file__).parent / "machine"


def words(*command: str | Path) -> StringCommand:
    return StringCommand(*(QuoteString(str(word)) for word in command))


def script(name: str, *arguments: str | Path) -> StringCommand:
    """One of this role's own scripts: Python (standard library only) or shell."""
    interpreter = ("sh",) if name.endswith(".sh") else (sys.executable, "-BEs")
    return words(*interpreter, MACHINE / name, *arguments)


def work(instance: Instance, name: str, *arguments: str | Path) -> StringCommand:
    """A script that takes its time: marked, because it may outlive a killed pyinfra, and `down` must find it."""
    return StringCommand(words("env", f"HALOFLEET_WORK={instance.full}"), script(name, *arguments))


def act(function: Callable[[], None]) -> FunctionCommand:
    """Our own code as a command. What the system refuses it (a full disk) is one line, not a traceback."""

    def run(state: State, host: Host) -> bool:  # noqa: ARG001  # pyinfra looks for these two names
        try:
            function()
        except OSError as error:
            logger.error(f"{host.print_prefix}{error.strerror or error}: {error.filename or ''}")
            return False
        return True

    return FunctionCommand(run, (), {})


def look(host: Host, lab: Wanted, *, greet: bool = False) -> Seen:
    """The one fact of the role. `greet`: also ask the hosts' SSH servers, which takes a moment."""
    addresses = tuple(each.endpoint for each in lab.hosts) if greet else ()
    seen: Seen = host.get_fact(LabState, str(lab.instance.state), lab.instance.full, str(cache("images")), addresses)
    return seen


def look_back(host: Host, instance: Instance) -> Seen:
    """The same without a lab.yml."""
    seen: Seen = host.get_fact(LabState, str(instance.state), instance.full, str(cache("images")), ())
    return seen


def must_be_root() -> None:
    """Asked before any fact: without root, facts may not even be readable."""
    if os.geteuid() != 0:
        raise Refused("the virtual lab needs root (namespaces, mounts, a bridge): run it as root or with sudo")


_locks: dict[Path, IO[str]] = {}


def hold(instance: Instance) -> None:
    """Until this process ends, nobody else works on this instance."""
    if instance.lock in _locks or not state.is_executing:
        return
    instance.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = instance.lock.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise Refused(f"the virtual lab {instance.name} is being worked on by {lock.read().strip()}") from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()
    _locks[instance.lock] = lock
