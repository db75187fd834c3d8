"""API keys: the controller node's copy is the true one, the control machine adopts it. Never in a log or a diff."""

from __future__ import annotations

import base64
import re
import shlex
from pathlib import Path

from pyinfra.api import Host, StringCommand

from inventory.spec import home
from roles.lib import remote
from roles.lib.local import sha256, whole
from roles.lib.stop import Failed
from roles.llama_server.plan import LlamaServer

KEY = re.compile(r"[!-~]{16,}")
"""One key: llama-server takes every line of the file for one, as it is. facts.py asks the node the same."""


def is_key(text: str) -> bool:
    """Whether every line that is not empty is a key, and there is one."""
    lines = [line for line in text.split("\n") if line]
    return bool(lines) and all(map(KEY.fullmatch, lines))


def chosen(server: LlamaServer) -> str:
    """sha256 of the key that the user has chosen; empty where it is left to us. Raises Failed."""
    if server.key_file is None:
        return ""
    if problem := trouble(server.key_file):
        raise Failed(f"serves.{server.serve}.api_key_file: {problem}")
    return sha256(server.key_file)


def trouble(path: Path) -> str:
    """What is wrong with a user's key file; empty where nothing is."""
    try:
        text, mode = path.read_bytes().decode(), path.stat().st_mode & 0o777  # with its line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        return f"{path} on this machine: {getattr(error, 'strerror', None) or 'is not text'}"
    if mode & 0o077:
        return f"{path} on this machine has mode {mode:03o}: others can read or write it; chmod 600 {path}"
    rule = "every line is a key of at least 16 characters, without spaces, comments or Windows line ends"
    return "" if is_key(text) else f"{path} is no key file: {rule}"


def local_digest(server: LlamaServer) -> str:
    """sha256 of this machine's copy; empty where it has none."""
    path = home.api_key(server.lab, server.serve)
    return sha256(path) if path.is_file() else ""


def close(server: LlamaServer) -> None:
    """This machine's copy is its owner's alone again, whatever has opened it."""
    path = home.api_key(server.lab, server.serve)
    if path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def key(server: LlamaServer) -> str:
    """The key itself, for a request: the first one. Raises Failed."""
    path = home.api_key(server.lab, server.serve)
    text = path.read_text()
    if not is_key(text):
        raise Failed(f"{path} is no key file; remove it, and the next run takes the controller's")
    return text.split()[0]


def create(host: Host, server: LlamaServer) -> None:
    """Puts a key on the node: the user's own, or this machine's copy (the box was set up anew), else a fresh one."""
    path = server.key_file or home.api_key(server.lab, server.serve)
    known = base64.b64encode(path.read_bytes()).decode() if path.is_file() and is_key(path.read_text()) else None
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
