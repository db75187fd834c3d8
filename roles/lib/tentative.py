"""A change after which SSH may not find its way any more: the node takes it back by itself, unless it is confirmed.

As `netplan try` does it, but nobody has to press Enter: before the first change a timer of the node's is armed, with
copies of all that will be changed, and after the last one this machine disarms it over a new SSH connection. The one
that is open proves nothing: a firewall lets it live. When this machine is killed in between, the timer still runs.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import cast

import gevent
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, QuoteString, StringCommand
from pyinfra.api.exceptions import ConnectError

from roles.lib.connector import HaloConnector
from roles.lib.layout import STATE
from roles.lib.remote import Commands, call, connector_arguments
from roles.lib.render import render
from roles.lib.stop import Failed

NETWORK, FIREWALL = "network", "firewall"
"""The changes that there are, by name."""

FOLDER = f"{STATE}/put-back"
ANSWER_SECONDS = 40
"""For a new connection after the change: a bridge whose ports start anew forwards nothing for 30 s (IEEE 802.1D, twice
its forward delay of 15 s). netplan's 120 s are for a person."""
STEP_SECONDS = 20
"""What one step of a change takes at the most before it fails: a link brought up and waited for."""
TRY_SECONDS = 10
PUT_BACK_SECONDS = 45
"""Until a node answers again after it has begun to put back."""


@dataclass(frozen=True)
class Change:
    """name: of the files and units. what: for people. paths: shell patterns of every file that may be changed. keep:
    shell that remembers what is in no file, in $dir; restore: shell that gives it back, once the files are as they
    were; $dir/changed lists those that were not. steps: of STEP_SECONDS each."""

    name: str
    what: str
    paths: tuple[str, ...]
    keep: str
    restore: str
    steps: int

    @property
    def seconds(self) -> int:
        return ANSWER_SECONDS + self.steps * STEP_SECONDS

    @property
    def unit(self) -> str:
        return f"halofleet-put-back-{self.name}"

    def script(self, template: str) -> str:
        names = ("name", "what", "paths", "keep", "restore", "seconds", "unit")
        values = {name: getattr(self, name) for name in names}
        folder, lock = f"{FOLDER}/{self.name}", f"/run/{self.unit}.lock"
        return render(f"lib/{template}.sh.j2", **values, dir=folder, lock=lock)


def pending(name: str) -> str:
    """Shell: the line `pending` where a change waits for its confirmation: its run was killed."""
    return f"if [ -e {FOLDER}/{name}/armed ]; then echo pending; fi; "


def tentative(host: Host, change: Change, commands: Commands, *, pending: bool) -> Commands:
    """The commands, between arming and confirming; nothing where there is nothing to do. pending: a run before this one
    has left the node armed; what it did needs a confirmation though nothing is left to change."""
    first = next(commands, None)
    if first is None and not pending:
        return
    seen = ["pending"] if pending else []
    arm = StringCommand("sh -c", QuoteString(change.script("arm")), f"arm-{change.name}", *seen)
    put_back = base64.b64encode(change.script("put_back").encode()).decode()
    yield StringCommand(arm, _stdin=f"{put_back}\n")
    try:
        if first is not None:
            yield first
            yield from commands
    except BaseException:  # GeneratorExit, where a command failed: pyinfra asks for no more
        text = f"{change.what}: changed by half. {change.seconds} s after the change began the node puts back what was "
        text += f"there, unless a run comes first; journalctl -u {change.unit} on {host.name} tells"
        host.log_styled(text, fg="red", log_func=logger.error)
        raise
    yield _confirm(change)


def _confirm(change: Change) -> FunctionCommand:
    def confirm(host: Host) -> None:
        deadline = time.monotonic() + change.seconds + PUT_BACK_SECONDS
        while (said := _ask_anew(host, change)) is None:
            if time.monotonic() > deadline:
                raise Failed(
                    f"{host.name}: {_silent(change)}. By now it should have put back what was there, and it still does "
                    "not answer: look at its console"
                )
            time.sleep(1)
        if said != ["confirmed"]:
            back = " ".join(said[1:]) or "no file had changed yet"
            raise Failed(
                f"{host.name}: {_silent(change)}, so it has put back what was there: {back}. Either the change cuts "
                f"the way that SSH comes by, or the way was down: journalctl -u {change.unit} on {host.name} tells; "
                "correct the inventory, or run again"
            )

    confirm.__name__ = f"confirm {change.name}"
    return call(confirm)


def _silent(change: Change) -> str:
    return f"{change.what}: after the change the node answered no new SSH connection within {change.seconds} s"


def _ask_anew(host: Host, change: Change) -> list[str] | None:
    """What the node says to the confirmation; None where it cannot be reached."""
    command = StringCommand("sh -c", QuoteString(change.script("confirm")), f"confirm-{change.name}")
    connector = cast("HaloConnector", host.connector)
    try:
        with gevent.Timeout(TRY_SECONDS), connector.anew() as other:
            ok, output = other.run_shell_command(command, **connector_arguments(host))
    except (ConnectError, gevent.Timeout, SSHException, OSError, EOFError):
        return None
    return output.stdout_lines if ok else None
