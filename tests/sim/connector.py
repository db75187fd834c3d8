"""The connector of a simulated host: it records what is sent, and its connection can die."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host, State, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from roles.lib.connector import HaloConnector
from roles.lib.jobs import RUNNER
from roles.lib.stop import Failed
from tests.sim.host import SimHost
from tests.sim.shell import NotModelled

RELABEL = r"if command -v restorecon >/dev/null; then restorecon {path}\s*; fi"
SHORT = (
    # The exact texts of roles/lib, in a few words. What is not exactly so stays as it is.
    (
        r"umask 077; rm -f (?P<dir>\S+/)\.(?P<name>\S+)\.halofleet && base64 -d > (?P=dir)\.(?P=name)\.halofleet "
        r"&& chown (?P<owner>\S+) (?P=dir)\.(?P=name)\.halofleet && chmod (?P<mode>\d+) (?P=dir)\.(?P=name)\.halofleet "
        r"&& mv -fT (?P=dir)\.(?P=name)\.halofleet (?P=dir)(?P=name) && " + RELABEL.format(path=r"(?P=dir)(?P=name)"),
        r"write \g<dir>\g<name> \g<mode> \g<owner>",
    ),
    (
        r"mkdir -p -m 700 (?P<path>\S+) && chown (?P<owner>\S+) (?P=path) && chmod (?P<mode>\d+) (?P=path) && "
        + RELABEL.format(path="(?P=path)"),
        r"directory \g<path> \g<mode> \g<owner>",
    ),
    (
        r"systemctl reset-failed (?P<unit>\S+) 2>/dev/null \|\| true; systemctl restart (?P=unit) \|\| "
        r"\{ journalctl -q -n 10 -o cat _SYSTEMD_UNIT=(?P=unit) >&2; false; \}",
        r"restart \g<unit>",
    ),
)


def short(command: str, stdin: str) -> str:
    """A command as the tests write it: the usual ones in a few words, a job with its script."""
    job = re.fullmatch(r"sh -c (.*) job\.sh (\S+) (wait|stop)", command, re.S)
    if job and RUNNER.splitlines()[-1] in job[1]:
        return f"job {job[2]}:\n{base64.b64decode(stdin).decode()}"
    if tentative := re.fullmatch(r"sh -c .* (arm|confirm)-(\w+)(?: pending)?", command, re.S):
        return f"{tentative[1]} {tentative[2]}"
    for pattern, words in SHORT:
        if found := re.fullmatch(pattern, command):
            return found.expand(words)
    return command


@dataclass(frozen=True)
class Sent:
    """One remote command. raw: the whole line, as sshd gets it."""

    operation: str
    command: str
    raw: str
    fact: bool
    changed: bool


class SimConnector(HaloConnector):
    """dies_after: the connection is lost when this many remote commands have changed the host.

    A transfer that would be the last one is cut off half-way.
    """

    def __init__(self, state: State, host: Host, sim: SimHost, dies_after: int | None = None) -> None:
        super().__init__(state, host)
        self.sim, self.dies_after = sim, dies_after
        self.sent: list[Sent] = []
        self.in_fact = False
        self.seen = sim.fingerprint()

    @property
    def changes(self) -> int:
        return sum(sent.changed for sent in self.sent)

    def connect(self) -> None:
        self.sim.connect()

    def disconnect(self) -> None:
        pass

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        stdin = str(arguments.pop("_stdin", None) or "")
        for key in ("_get_pty", "_timeout"):
            arguments.pop(key, None)
        fine = arguments.pop("_success_exit_codes", None) or [0]
        line = make_unix_command_for_host(self.state, self.host, command, **arguments)
        if print_input:  # as the SSH connector does; pyinfra's own echo is mute outside its command line
            print(f"{self.host.print_prefix}>>> {line}", file=sys.stderr)
        raw = line.get_raw_value()
        # pyinfra ends what it writes to standard input with a line break.
        text = stdin if stdin.endswith("\n") or not stdin else f"{stdin}\n"
        words = short(StringCommand(command).get_raw_value(), stdin)  # pyinfra's own facts are plain strings
        reply = self._send(words, raw, lambda: self.sim.execute(raw, text.encode()))
        lines = [OutputLine("stdout", line) for line in reply.stdout.splitlines()]
        lines += [OutputLine("stderr", line) for line in reply.stderr.splitlines()]
        if print_output:
            for output in lines:
                print(f"{self.host.print_prefix}{output.line}", file=sys.stderr)
        return reply.status in fine, CommandOutput(lines)

    @contextmanager
    def anew(self) -> Iterator[HaloConnector]:
        if self.dies_after is not None and self.changes >= self.dies_after:
            raise Failed("the control machine is gone")  # it was killed, and tries nothing again
        if not self.sim.answers():
            raise ConnectError("Could not connect (timed out)")
        yield self

    @contextmanager
    def reach(self, address: str, port: int) -> Iterator[str]:
        yield f"{address}:{port}"

    def append_file(self, local: Path, path: str, offset: int, progress: Callable[[int], None]) -> None:
        self._send(f"append {path} from {offset}", "", lambda: self._write(local, path, offset))
        progress(local.stat().st_size)

    def _write(self, local: Path, path: str, offset: int) -> None:
        target = self.sim.files.real(path)
        if self.sim.login != "root" and self.sim.files.owner(target.parent).split(":")[0] != self.sim.login:
            raise PermissionError(13, "Permission denied", path)
        content = local.read_bytes()[offset:]
        if self.dies_after == self.changes + 1:
            content = content[: len(content) // 2]
        with target.open("ab" if offset else "wb") as file:
            file.write(content)
        target.chmod(0o600)
        self.sim.files.owners[target.stat().st_ino] = f"{self.sim.login}:{self.sim.login}"
        if self.dies_after == self.changes + 1:
            self.sent.append(Sent("", f"append {path} cut off", "", False, True))
            self._alive()

    def fetch_file(self, path: str, local: Path) -> None:
        self._send(f"fetch {path}", "", lambda: local.write_bytes(self.sim.files.real(path).read_bytes()))

    def put_file(self, *arguments: Any, **keywords: Any) -> bool:
        raise NotModelled("put_file", arguments, keywords)

    def get_file(self, *arguments: Any, **keywords: Any) -> bool:
        raise NotModelled("get_file", arguments, keywords)

    def _alive(self) -> None:
        if self.dies_after is not None and self.changes >= self.dies_after:
            raise SSHException("SSH session not active")

    def _send(self, command: str, raw: str, act: Callable[[], Any]) -> Any:
        self._alive()
        reply = act()
        before, self.seen = self.seen, self.sim.fingerprint()
        changed = self.seen != before
        self.sent.append(Sent(self._operation(), command, raw, self.in_fact, changed))
        return reply

    def _operation(self) -> str:
        op_hash = self.host.executing_op_hash or self.host.current_op_hash
        names = self.state.get_op_meta(op_hash).names if op_hash else {""}
        return " ".join(names).rpartition(" | ")[2]
