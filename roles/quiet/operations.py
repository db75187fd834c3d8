"""Others' hands kept off a node, and let back."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import Host, QuoteString, StringCommand, operation

from roles.lib.board import QUIET, board
from roles.lib.paths import Absent, File, PathStates, asked, changes, write
from roles.lib.remote import Commands, current, look
from roles.quiet.facts import QuietStates
from roles.quiet.plan import BEFORE, FILES, Quiet, Seen, conf, files, folders, masks, record, remembered

NOTHING = Quiet(sleep=False, upgrades=False)


def _seen(host: Host) -> Seen:
    """As preflight saw it in this run, in its own command; else looked at now."""
    told: Seen | None = board(host.state, QUIET).pop(host.name, None)
    return told or look(host, QuietStates)


@operation()
def undisturbed(plan: Quiet) -> Commands:
    """The targets of sleep are masked, needrestart and automatic upgrades know what is not theirs; or, where lab.yml
    wants none of it, what we did is taken back."""
    host = current()
    seen = _seen(host)
    for target in sorted(seen.own if plan.sleep else ()):
        host.log(f"warning: /etc/systemd/system/{target} is somebody's own; it is left, and the node may sleep by it")
    mask, unmask = masks(plan, seen)
    items = files(plan, seen)
    ours = [item for item in (conf(plan, seen),) if item is not None]
    after = remembered(plan, seen)
    stale = seen.before is not None and after != seen.before
    if not (mask or unmask or items or ours or stale):
        host.noop("nobody else restarts or sleeps this node")
        return
    if seen.before is None:
        yield StringCommand("mkdir -p -m 755", QuoteString(BEFORE.rpartition("/")[0]))
    if seen.before is None or (stale and mask):  # before anything is ours
        yield write(File(BEFORE, record(after)))
    for folder in folders(items, seen):
        yield StringCommand("mkdir -m 755", QuoteString(folder))
    yield from _written(host, [*items, *ours])
    if mask:
        yield StringCommand("systemctl mask --quiet", *map(QuoteString, mask))
    if unmask:
        yield StringCommand("systemctl unmask --quiet", *map(QuoteString, unmask))
    if stale and not mask:  # once nothing is
        yield write(File(BEFORE, record(after)))


@operation()
def given_back(plan: Quiet) -> Commands:  # noqa: ARG001  # whatever lab.yml wants
    host = current()
    seen = look(host, QuietStates)
    if seen.before is None:
        host.noop("nothing of ours")
        return
    _, unmask = masks(NOTHING, seen)
    ours = [item for item in (conf(NOTHING, seen),) if item is not None]
    yield from _written(host, [*(Absent(path) for path in FILES if path in seen.files), *ours])
    if unmask:
        yield StringCommand("systemctl unmask --quiet", *map(QuoteString, unmask))
    # Folders that were not there before; one that somebody has put something into stays.
    made = [folder for folder in reversed(seen.before.made) if folder in seen.folders]
    empty = [f"rmdir {folder} 2>/dev/null || true" for folder in made]
    yield StringCommand("; ".join([*empty, f"rm -rf {BEFORE.rpartition('/')[0]}"]))


def _written(host: Host, items: list[File | Absent]) -> Iterable[StringCommand]:
    if not items:
        return ()
    wanted = tuple(items)
    return changes(host, list(wanted), look(host, PathStates, **asked(wanted)) if host.state.config.DIFF else {})
