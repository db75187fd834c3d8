"""pyinfra's SSH connector, made faster, countable, and clearer when a host cannot be reached.

Everything that touches paramiko is in this file, so that a pyinfra with another SSH library costs one file.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from paramiko import SFTPClient
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput

from roles.lib.stop import Failed
from roles.lib.tunnel import tunnel

T = TypeVar("T")

KEEPALIVE_SECONDS = 15
BLOCK = 1 << 18


class HaloConnector(SSHConnector):
    """`@halo/NAME` in the inventory; the host's name is NAME."""

    handles_execution = True

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield name, {"ssh_hostname": name}, []

    def connect(self) -> None:
        try:
            super().connect()
        except ConnectError as error:
            raise ConnectError(f"{error.args[0]}; {self._advice(str(error.args[0]))}") from error
        transport = self.client.get_transport() if self.client else None
        if transport is None:
            return
        transport.set_keepalive(KEEPALIVE_SECONDS)
        if hasattr(transport.sock, "setsockopt"):  # a ProxyJump's channel has none
            # Without it Nagle and delayed ACKs cost 40 ms a command.
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _advice(self, message: str) -> str:
        address, known_hosts = self.data["ssh_hostname"], self.data["ssh_known_hosts_file"]
        if "Host key" in message:
            return (
                f"the lab's record is {known_hosts}; if you set this box up anew, forget the old key: "
                f"ssh-keygen -f {known_hosts} -R {address}"
            )
        if "Authentication" in message:
            return f"can you log in yourself? ssh {self.data['ssh_user']}@{address}"
        lab = self.host.data.get("lab")
        if lab is not None and lab.spec.virtual is not None:
            return "is the virtual host up? make lab"
        return f"is it up? ping {address}; to go on without it: --exclude {self.host.name}"

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        execute = super().run_shell_command
        return self._traced(str(command), lambda: execute(command, print_output, print_input, **arguments))

    def _put_file(self, filename_or_io: str | IO[Any], remote_location: str) -> None:
        put: Callable[..., None] = super()._put_file
        self._traced(f"put {remote_location}", lambda: put(filename_or_io, remote_location))

    def _get_file(self, remote_filename: str, filename_or_io: str | IO[Any]) -> None:
        get: Callable[..., None] = super()._get_file
        self._traced(f"get {remote_filename}", lambda: get(remote_filename, filename_or_io))

    def _traced(self, what: str, act: Callable[[], T]) -> T:
        """Every remote command (an exec or a transfer) leaves two JSON lines in the file that $HALOFLEET_TRACE names:
        one when it begins, with the command, and one when it ends, with its seconds."""
        if "HALOFLEET_TRACE" not in os.environ:
            return act()
        start = time.monotonic()
        self._trace(command=what)
        try:
            return act()
        finally:
            self._trace(seconds=round(time.monotonic() - start, 3))

    def _trace(self, **values: Any) -> None:
        with Path(os.environ["HALOFLEET_TRACE"]).open("a") as file:
            file.write(json.dumps({"host": self.host.name, **values}) + "\n")

    @contextmanager
    def anew(self) -> Iterator[HaloConnector]:
        """A connection of its own beside this one, to the host that known_hosts knows. Raises ConnectError."""
        other = type(self)(self.state, self.host)
        try:
            other.connect()
            yield other
        finally:
            if other.client is not None:
                other.client.close()

    @contextmanager
    def reach(self, address: str, port: int) -> Iterator[str]:
        """`ADDRESS:PORT` on this machine that leads to what the node listens on there. Raises Failed."""
        transport = self.client.get_transport() if self.client else None
        if transport is None:
            raise Failed(f"{self.host.name}: not connected")
        with tunnel(transport, self.host.name, address, port) as end:
            yield end

    # What pyinfra's transfers lack: resuming, and reading without a world-readable copy in /tmp.

    def append_file(self, local: Path, path: str, offset: int, progress: Callable[[int], None]) -> None:
        """Sends the file's bytes from `offset` on (bytes) to the end of the remote file, mode 0600."""
        self._traced(f"append {path}", lambda: self._append(local, path, offset, progress))

    def _append(self, local: Path, path: str, offset: int, progress: Callable[[int], None]) -> None:
        sftp = cast("SFTPClient", self.get_file_transfer_connection())
        with local.open("rb") as source, sftp.open(path, "ab" if offset else "wb") as target:
            target.chmod(0o600)
            target.set_pipelined(True)
            source.seek(offset)
            while block := source.read(BLOCK):
                target.write(block)
                offset += len(block)
                progress(offset)

    def fetch_file(self, path: str, local: Path) -> None:
        """Gets the remote file; the login user must be able to read it."""
        with local.open("wb") as file:
            self._get_file(path, file)
