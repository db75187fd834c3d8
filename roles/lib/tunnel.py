"""A way from this machine to what a node listens on, through its SSH connection.

The API may be closed to this machine (`firewall.api`, `bind: 127.0.0.1`) and must be verified all the same.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from gevent import joinall, spawn
from gevent.server import StreamServer
from paramiko import Channel, ChannelException, SSHException, Transport

from roles.lib.stop import Failed

BLOCK = 1 << 16
PROHIBITED = 1
"""SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1): sshd's `AllowTcpForwarding no`."""


@contextmanager
def tunnel(transport: Transport, node: str, address: str, port: int) -> Iterator[str]:
    """`ADDRESS:PORT` on this machine that leads to the node's. Raises Failed where the node's sshd forwards nothing."""
    if not _forwards(transport, node, address, port):
        raise Failed(f"{node}: its sshd does not forward to {address}:{port}; allow it: `AllowTcpForwarding local`")

    def carry(sock: socket.socket, peer: tuple[str, int]) -> None:
        try:
            channel = transport.open_channel("direct-tcpip", (address, port), peer)
        except (SSHException, EOFError, OSError):
            return  # nobody listens there: the connection ends, which says the same
        with channel:
            joinall([spawn(_pump, sock, channel), spawn(_pump, channel, sock)], count=1)

    server = StreamServer(("127.0.0.1", 0), carry)
    server.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.stop()


def _forwards(transport: Transport, node: str, address: str, port: int) -> bool:
    try:
        transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0)).close()
    except ChannelException as refused:
        return refused.code != PROHIBITED
    except (SSHException, EOFError, OSError) as error:
        raise Failed(f"{node}: the connection has ended: {error or type(error).__name__}") from None
    return True


def _pump(source: socket.socket | Channel, target: socket.socket | Channel) -> None:
    try:
        while block := source.recv(BLOCK):
            target.sendall(block)
    except OSError:
        pass  # one side has gone; the other is told by closing it
