"""Looked at on every node first, decided on all of them, then written: a refusal comes before any change on any."""

from __future__ import annotations

from pyinfra.api import Host, operation

from roles.kernel.boot import Seen
from roles.kernel.boot_change import script
from roles.kernel.facts import KernelStates
from roles.kernel.plan import Kernel, judge, wanted
from roles.lib.board import board
from roles.lib.jobs import job
from roles.lib.remote import Commands, current, look

SEEN = "kernel"
"""The board's topic: node -> what was seen there, before this run changed anything."""
FINDINGS = "kernel findings"


def seen_on(host: Host) -> Seen:
    """What `looked` found: the role's one look at the node."""
    found: Seen = board(host.state, SEEN).get(host.name, Seen())
    return found


@operation()
def looked(kernel: Kernel) -> Commands:
    host = current()
    if not kernel.own:
        host.noop("its kernel is not its own")
        return
    seen = look(host, KernelStates)
    board(host.state, SEEN)[host.name] = seen
    board(host.state, FINDINGS)[host.name] = judge(kernel, seen)
    host.noop(f"kernel {seen.kernels[0] if seen.kernels else 'unknown'}, boot loader {seen.loader}")
    yield from ()


@operation()
def arguments_written(kernel: Kernel) -> Commands:
    host = current()
    seen = seen_on(host)
    if not kernel.own or board(host.state, FINDINGS).get(host.name):
        host.noop("left alone")
        return
    arguments = wanted(kernel, seen).arguments
    text = script(seen, arguments)
    if not text:
        host.noop(f"it boots with {' '.join(arguments)}" if arguments else "it boots with nothing of ours")
        return
    host.log(f"next boot: {' '.join(arguments) or 'as before halofleet'}")
    yield job("kernel", text)


@operation()
def given_back() -> Commands:
    """The box boots with what it booted with before halofleet, from its next boot on."""
    host = current()
    seen = look(host, KernelStates)
    text = script(seen, ())
    if not text:
        host.noop("nothing of ours")
        return
    host.log("next boot: as before halofleet; not rebooted here")
    yield job("kernel", text)
