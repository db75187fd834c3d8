"""What keeps the cache of a worker's RPC server: a program, and a unit that runs it beside the server."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pyinfra.api import StringCommand

from inventory.spec import units
from roles.lib import layout
from roles.lib.paths import File
from roles.lib.render import render
from roles.lib.units import Service, revision
from roles.llama_cpp.plan import HASHER, Release

UNIT = units.RPC_CACHE
PATH = f"/etc/systemd/system/{UNIT}"
FOLDER = f"{layout.CACHE}/rpc"
"""`rpc` below $LLAMA_CACHE (llama.cpp, tools/rpc/rpc-server.cpp)."""
PROGRAM = File(f"{layout.PROGRAMS}/rpc_cache.py", (Path(__file__).parent / "keeper.py").read_text())


def command(verb: str, gib: int, release: Release) -> str:
    """The keeper's command line: `check` before the server starts, `watch` beside it."""
    return f"/usr/bin/python3 -I {PROGRAM.path} {verb} {FOLDER} {release.link}/bin/{HASHER} {gib * 2**30}"


def keeping(gib: int, release: Release) -> tuple[tuple[File, ...], tuple[Service, ...]]:
    """What has to be on a worker that may keep so much, and run there; nothing where it may keep nothing."""
    if not gib:
        return (), ()
    values = {"gib": gib, "user": layout.USER, "folder": layout.CACHE, "watch": command("watch", gib, release)}
    program = hashlib.sha256(PROGRAM.bytes).hexdigest()
    digest = revision(release.id, program, render("rpc_cache/rpc-cache.service.j2", revision="", **values))
    text = render("rpc_cache/rpc-cache.service.j2", revision=digest, **values)
    return (PROGRAM, File(PATH, text)), (Service(UNIT, digest),)


def forget() -> StringCommand:
    """Takes the unit and the cache itself away."""
    return StringCommand(
        f"if [ -e {PATH} ]; then systemctl disable --now --quiet {UNIT}; rm -f {PATH}; systemctl daemon-reload; fi; "
        f"rm -rf {layout.CACHE}"
    )
