"""One node at a time goes down, and is proven back before the next one does.

pyinfra runs an operation on all hosts at once. So every host has an operation for every target, in the planned order,
and only the target acts; the others wait for it at the operation's end.
"""

from __future__ import annotations

import time
from contextlib import suppress

from gevent import Timeout
from paramiko import SSHException
from pyinfra.api import Host, QuoteString, StringCommand, operation
from pyinfra.api.exceptions import PyinfraError

from roles.doctor import judge as doctor
from roles.doctor.look import Boxes
from roles.kernel.boot import TRIED, Seen, differing, next_line, waits_for_somebody
from roles.kernel.facts import Inhibitors, KernelStates
from roles.kernel.operations import FINDINGS, seen_on
from roles.kernel.plan import PAGE, PAGES_LIMIT, Kernel, Wanted, wanted
from roles.lib import remote
from roles.lib.board import board
from roles.lib.cmdline import key
from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed
from roles.preflight.facts import Snapshots
from roles.preflight.operations import holder

UP = "kernel up"
"""The board's topic: node -> True once it is as it should be; False while it is down or unproven."""
BACK_SECONDS = 900
"""Until SSH answers again: 128 GB of memory may be trained at a cold boot."""
SETTLED_SECONDS = 60
"""From then on, until the GPU's driver has started."""
PAUSE_SECONDS = 2
INHIBITED_SECONDS = 600
"""As long as the packages role waits for dpkg's lock."""
MIB = 1 << 20


def pending(seen: Seen, want: Wanted) -> list[str]:
    """Pure: what only a reboot brings, in words; empty where what runs is what should run."""
    if seen.loader == "none":
        values = dict(word.split("=", 1) for word in want.arguments if "." in word)
        return [f"{name}={value}" for name, value in values.items() if seen.parameters.get(name, value) != value]
    then = next_line(seen, want.arguments)
    keys = dict.fromkeys(key(word) for word in (*want.arguments, *seen.ever))
    found = []
    for name in differing(seen.cmdline, then, tuple(keys)):
        words = [word for word in then if key(word) == name]
        found.append(" ".join(words) or f"no {name}")
    limit = seen.parameters.get(PAGES_LIMIT)
    if not found and want.pages is not None and limit is not None and limit != str(want.pages):
        found.append(f"{PAGES_LIMIT}={want.pages}; {limit} runs")
    return found


def unproven(before: Seen, now: Seen, want: Wanted) -> str:
    """Pure: what is not as it should be after the reboot; empty where all is."""
    if now.boot_id == before.boot_id:
        return "it still runs the boot that it ran"
    if missing := pending(now, want):
        return f"it booted without {', '.join(missing)}"
    if want.pages is None or (now.gtt is None and before.gtt is None):
        return ""
    if PAGES_LIMIT not in now.parameters or now.gtt is None:
        return "its GPU's driver has not started: ttm is not loaded, or amdgpu is not bound"
    # Kernels since July 2026 cap it at the memory that there is.
    most = want.pages * PAGE
    if min(most, now.memory * PAGE) - MIB <= now.gtt <= most:
        return ""
    return f"the GPU may have {now.gtt} bytes; expected: {most} (mem_info_gtt_total)"


@operation()
def rebooted(kernel: Kernel, target: str) -> Commands:
    host = current()
    if host.name != target or board(host.state, FINDINGS).get(target):
        host.noop(f"{target}'s turn")
        return
    seen, want = seen_on(host), wanted(kernel, seen_on(host))
    why = pending(seen, want)
    locked = waits_for_somebody(seen)
    up = board(host.state, UP)
    if why and kernel.reboots and not locked:
        if not host.state.is_executing:
            yield remote.later()
            return
        for earlier in kernel.order[: kernel.order.index(target)]:
            if _in_this_run(host, earlier) and not up.get(earlier):
                raise Failed(f"{target}: not rebooted, because {earlier} is not back; look at {earlier} first")
        if seen.tried == ", ".join(why):
            raise Failed(
                f"{target}: not rebooted again, because its last reboot came without {seen.tried}; "
                f"see which boot entry and which boot loader it starts (here {seen.loader} was set up), mend that, "
                "and reboot it yourself"
            )
        host.log(f"reboots for {', '.join(why)}")
        yield remote.call(lambda node: _reboot(node, kernel, seen, want))
        return
    up[target] = True
    if why:
        reason = f"{locked} would wait for its passphrase" if locked else "reboot: never"
        host.log(f"pending until it is rebooted: {', '.join(why)}; not done here: {reason}")
    host.noop("it runs what it should" if not why else "left to you")


def _in_this_run(host: Host, name: str) -> bool:
    """--limit and --exclude leave nodes out; nobody touches those."""
    return name in {each.name for each in host.state.activated_hosts}


def _reboot(host: Host, kernel: Kernel, before: Seen, want: Wanted) -> None:
    up = board(host.state, UP)
    up[host.name] = False
    _wait_for_packages(host)
    said = ""
    # The connection may die without a word.
    with Timeout(30, False), suppress(OSError, EOFError, SSHException):
        ok, output = remote.run(host, StringCommand("systemctl reboot"))
        said = "" if ok else output.stderr
    if said:
        raise Failed(f"{host.name}: systemctl reboot: {said}; the nodes after it stay up")
    limit = time.monotonic() + BACK_SECONDS
    while not _answers(host, before):
        if time.monotonic() > limit:
            raise Failed(f"{host.name}: not back {BACK_SECONDS} s after its reboot; the nodes after it stay up")
        time.sleep(PAUSE_SECONDS)
    # The lock died with the session that held it.
    held = look(host, Snapshots, address=str(kernel.address), lock=holder()).lock
    if held:
        raise Failed(f"{host.name}: while it rebooted, its lock was taken by {held}; wait for that run to end")
    limit = time.monotonic() + SETTLED_SECONDS
    while problem := unproven(before, now := look(host, KernelStates), want):
        if time.monotonic() > limit:
            # Another reboot, by every run to come, would bring it no more than this one.
            remote.run(host, StringCommand("echo", QuoteString(", ".join(pending(now, want))), ">", TRIED))
            raise Failed(f"{host.name}: {problem}; the nodes after it stay up")
        time.sleep(PAUSE_SECONDS)
    # A kernel that was installed in the meantime runs now.
    found = doctor.against(look(host, Boxes), host.name, kernel.box)
    if stops := [str(finding) for finding in found if finding.severity == "stop"]:
        raise Failed("\n".join([*stops, f"{host.name}: so it came back from its reboot; the nodes after it stay up"]))
    up[host.name] = True


def _wait_for_packages(host: Host) -> None:
    """A package manager that works holds a lock against a shutdown; root's own reboot would go over it."""
    limit = time.monotonic() + INHIBITED_SECONDS
    while holders := look(host, Inhibitors):
        if time.monotonic() > limit:
            raise Failed(f"{host.name}: not rebooted, because somebody works there: {'; '.join(holders)}")
        time.sleep(PAUSE_SECONDS)


def _answers(host: Host, before: Seen) -> bool:
    """Whether it has been booted anew and a command can be run."""
    try:
        with Timeout(60):
            host.disconnect()
            host.connect(show_errors=False)
            if not host.connected:
                return False
            ok, output = remote.run(host, StringCommand("cat /proc/sys/kernel/random/boot_id"))
            return ok and output.stdout.strip() not in ("", before.boot_id)
    except (OSError, EOFError, SSHException, PyinfraError, Timeout):
        return False
