"""API keys: the controller node's copy is the true one, the control machine adopts it. Never in a log or a diff."""

from __future__ import annotations

import base64
import re
import shlex

from pyinfra.api import Host, StringCommand

from inventory.spec import home
from roles.lib import remote
from roles.lib.local import sha256, whole
from roles.lib.stop import Failed
from roles.llama_server.plan import LlamaServer

KEY = re.compile(r"[!-~]{16}")
"""What makes a file a key. facts.py asks the node the same."""


def local_digest(server: LlamaServer) -> str:
    """sha256 of this machine's copy; empty where it has none."""
    path = home.api_key(server.lab, server.serve)
    return sha256(path) if path.is_file() else ""


def key(server: LlamaServer) -> str:
    """The key itself, for a request."""
    return home.api_key(server.lab, server.serve).read_text().strip()


def create(host: Host, server: LlamaServer) -> None:
    """Puts a key on the node: this machine's copy where it has one (the box was set up anew), else a fresh one."""
    path = home.api_key(server.lab, server.serve)
    known = base64.b64encode(path.read_bytes()).decode() if path.is_file() and KEY.search(path.read_text()) else None
    make = "base64 -d" if known else "{ head -c 32 /dev/urandom | base64 -w 0 | tr +/ -_ | tr -d =; echo; }"
    final, part = shlex.quote(server.key_path), shlex.quote(f"{server.key_path}.part")
    script = f"umask 077; {make} >{part} && chmod 400 {part} && chown root:root {part} && mv -f {part} {final}"
    ok, output = remote.run(host, StringCommand(script), stdin=known)
    if not ok:
        raise Failed(f"{host.name}: {server.key_path}: {output.stderr}")


def adopt(host: Host, server: LlamaServer) -> None:
    """Copies the node's key to this machine, 0600 from its first byte."""
    text = remote.read(host, StringCommand(f"base64 -w 0 {shlex.quote(server.key_path)}"))
    path = home.api_key(server.lab, server.serve)
    with whole(path) as part:
        part.write_bytes(base64.b64decode(text))
