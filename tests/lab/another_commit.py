"""Stands between a controller and a real ggml-rpc-server, and adds one to the major version that its hello says.

another_commit.py ADDRESS PORT WORKERS_PORT
"""

import socket
import sys
import threading


def serve(client: socket.socket, port: int) -> None:
    worker = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=copy, args=(client, worker), daemon=True).start()
    copy(worker, client, first=True)


def copy(source: socket.socket, to: socket.socket, first: bool = False) -> None:
    """The first answer is the hello's: its length in 8 bytes, then major, minor and patch in a byte each."""
    seen = 0
    while data := source.recv(65536):
        if first and seen <= 8 < seen + len(data):
            data = data[: 8 - seen] + bytes([data[8 - seen] + 1]) + data[9 - seen :]
        seen += len(data)
        to.sendall(data)
    for end in (source, to):
        end.close()


listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0], int(sys.argv[3])), daemon=True).start()
