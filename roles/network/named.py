"""Before the links come up: their interfaces have their names, the other ends have theirs, the kernel what it needs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyinfra.api import Host, StringCommand, operation

from roles.lib import paths
from roles.lib.paths import File, PathStates, Wanted, write
from roles.lib.remote import Commands, Question, current, look_both
from roles.lib.stop import Failed
from roles.network import hosts, ports, renames, settings
from roles.network.names import PATTERNS, Names, files
from roles.network.names_now import NamesNow, Now

WAIT = "for try in $(seq 50); do if {there}; then break; fi; sleep 0.2; done"
"""The two kernels have to find each other over the cable; who is not there after 10 s comes when it comes."""


@operation()
def named(names: Names) -> Commands:
    """An interface that is there gets its name now, one that comes later gets it then. SSH's is never touched."""
    host = current()
    wanted = files(names)
    states, now = look_both(
        host,
        Question(PathStates, paths.asked(wanted, PATTERNS)),
        Question(NamesNow, {"address": str(names.management), "named": bool(names.ports)}),
    )
    _may_rename(host, names, now)
    items = paths.differing(host, wanted, states)
    there = states[settings.PATH].kind != "absent"
    commands = [
        *map(StringCommand, settings.before(now.settings, there=there, kept=now.kept, links=names.links)),
        *([StringCommand("mkdir -p", ports.FOLDER)] if _link_files(items) else ()),
        *paths.changes(host, items, states),
        *map(StringCommand, _taken_up(names, now, items)),
        *_hosts(host, names, now),
    ]
    if not commands:
        host.noop(f"{len(names.ports)} interfaces and {len(names.hosts)} other ends have their names")
    yield from commands


def _link_files(items: Iterable[Wanted]) -> bool:
    return any(item.path.endswith(".link") for item in items)


def _may_rename(host: Host, names: Names, now: Now) -> None:
    """Preflight has looked at all of it, and a cable may have been moved since."""
    if names.ports and not now.udev:
        raise Failed(f"{host.name}: systemd-udevd does not run, and nothing else gives interfaces their names")
    for one in renames.touched(names.ports, now.ports):
        if one.name == now.ssh:
            raise Failed(f"{host.name}: {one.where} would get another name, and SSH comes in over it")
    for one in renames.strangers(names.ports, now.ports):
        if not one.ours:
            raise Failed(f"{host.name}: {one.where} has the name of a link, and not from halofleet; name it otherwise")


def _taken_up(names: Names, now: Now, items: Iterable[Wanted]) -> Iterator[str]:
    """Pure: udev, the module loader and the kernel are told of the files."""
    renamed = list(renames.renames(names.ports, now.ports))
    if names.ports and (renamed or _link_files(items)):
        yield renames.RELOAD
    yield from renamed
    if names.module and not now.module:
        yield f"modprobe {ports.MODULE}"
        there = [renames.THERE.format(dev=shlex.quote(port.interface)) for port in names.ports if port.peer]
        if there:
            yield WAIT.format(there=" && ".join(there))
    written = any(item.path == settings.PATH for item in items)
    yield from settings.after(now.settings, written=written, links=names.links)


def _hosts(host: Host, names: Names, now: Now) -> Iterator[StringCommand]:
    before = now.hosts or File(hosts.PATH, "")
    try:
        text = hosts.changed(before.content, names.hosts)
    except hosts.BrokenBlockError:
        raise Failed(
            f"{host.name}: {before.path}: of the lines `{hosts.BEGIN}` and `{hosts.END}` one is there without the "
            "other; expected: both, or neither. Take out what is left of them"
        ) from None
    if text != before.content:
        after = replace(before, content=text)
        if host.state.config.DIFF:
            paths.show(host, after, paths.Seen("file" if now.hosts else "absent"))
        yield write(after)
