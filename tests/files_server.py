"""A web server of files for tests, a process of its own: files_server.py FOLDER ADDRESS [PORT] prints its port.

The first part of the path says how it behaves: /plain/NAME; /slow/NAME, a few MB a second; /cut/NAME, which breaks off
half-way through what was asked for; /whole/NAME, which knows no ranges. FOLDER/log has a line for every request.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BLOCK = 1 << 16
SLOW_SECONDS = 0.02
"""For a block."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        asked = self.headers.get("Range", "")
        with (self.folder / "log").open("a") as log:
            log.write(f"{self.command} {self.path} {asked}\n")
        _, way, name = self.path.split("/", 2)
        path = self.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and way != "whole" else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if with_body:
            with suppress(ConnectionError):  # a client that was killed
                self._send(content[start:], way)

    def _send(self, content: bytes, way: str) -> None:
        if way == "cut" and len(content) > BLOCK:
            content = content[: len(content) // 2]
            self.close_connection = True
        for begin in range(0, len(content), BLOCK):
            self.wfile.write(content[begin : begin + BLOCK])
            if way == "slow":
                time.sleep(SLOW_SECONDS)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer((sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
