"""Large files between the control machine and a node: resumed after an interruption, checked, with progress."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from pyinfra.api import Host, StringCommand

from roles.lib import remote
from roles.lib.connector import HaloConnector
from roles.lib.layout import INCOMING
from roles.lib.local import sha256 as local_sha256
from roles.lib.local import whole
from roles.lib.stop import Failed

PROGRESS_SECONDS = 10


def send(host: Host, local: Path, target: str, *, sha256: str, mode: str = "644", record: bool = False) -> None:
    """Puts the file at `target` on the node. An upload that was cut off goes on where it stopped.

    It arrives under the name of its sum in a directory of the login user, is checked there, and is moved into place.
    record: the sum is kept beside it in TARGET.sha256, with the file's size and time. Raises Failed.
    """
    arriving = f"{INCOMING}/{sha256}"
    size = local.stat().st_size
    there = remote.read(host, StringCommand(f"stat -c %s {arriving} 2>/dev/null || echo 0"))
    offset = int(there) if there.isdigit() and int(there) <= size else 0
    if offset < size:
        connector(host).append_file(local, arriving, offset, _progress(host, local.name, size))
    script = (
        f'[ "$(sha256sum <{arriving} | cut -c1-64)" = {sha256} ] || {{ rm -f {arriving}; exit 1; }}; '
        f"sync {arriving} && chown root:root {arriving} && chmod {mode} {arriving} && "
        f"mv -f {arriving} {shlex.quote(target)} && "
        f"if command -v restorecon >/dev/null; then restorecon {shlex.quote(target)}; fi"
    )
    if record:
        quoted = shlex.quote(target)
        script += f' && echo {sha256} "$(stat -c %s-%Y {quoted})" >{quoted}.sha256'
    ok, output = remote.run(host, StringCommand(script))
    if not ok:
        raise Failed(f"{host.name}: {target}: arrived damaged or could not be put in place; {output.stderr}".strip())


def receive(host: Host, path: str, local: Path) -> None:
    """Gets a file from the node; it takes its name only when it is complete and its sum agrees. Raises Failed."""
    wanted = remote.read(host, StringCommand(f"sha256sum <{shlex.quote(path)} | cut -c1-64"))
    with whole(local) as part:
        connector(host).fetch_file(path, part)
        if (digest := local_sha256(part)) != wanted:
            raise Failed(f"{host.name}: {path}: arrived damaged (sha256 {digest}, the node has {wanted}); run again")


def connector(host: Host) -> HaloConnector:
    return cast(HaloConnector, host.connector)


def _progress(host: Host, name: str, size: int) -> Callable[[int], None]:
    last = time.monotonic()

    def show(sent: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            host.log(f"{name}: {sent * 100 // size} % of {size / 2**20:.0f} MiB")

    return show
