"""Looked at on every node first, decided on all of them, then made so, and looked at once more where anything changed.

What is no longer wanted goes at the end of a run: until then services may still compute with it.
"""

from __future__ import annotations

from pyinfra.api import Host, operation

from roles.gpu import change, judge, key
from roles.gpu.facts import GpuStates, Seen
from roles.gpu.plan import Gpu
from roles.lib.board import GPU_REMAINS, board
from roles.lib.finding import Finding
from roles.lib.jobs import job
from roles.lib.paths import write
from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed

SEEN = "gpu"
"""The board's topic: node -> what was seen there last in this run."""
FINDINGS = "gpu findings"
UNFIT = "gpu unfit"
TOLD = "gpu told"


@operation()
def looked(gpu: Gpu) -> Commands:
    host = current()
    if not gpu.stacks:
        host.noop("it computes on its CPU")
        return
    seen = look(host, GpuStates, gpu=gpu)
    board(host.state, SEEN)[host.name] = seen
    found = judge.against(gpu, seen)
    stops = [finding for finding in found if finding.severity == "stop"]
    if not stops and change.needs_key(gpu, seen):
        stops = _key_trouble(gpu)
    board(host.state, FINDINGS)[host.name] = stops
    _warn(host, found)
    host.noop(f"{' and '.join(gpu.stacks)} on {gpu.os}")
    yield from ()


def _warn(host: Host, found: list[Finding]) -> None:
    """Once a run."""
    told = board(host.state, TOLD).setdefault(host.name, set())
    for finding in found:
        if finding.severity == "warn" and finding not in told:
            told.add(finding)
            host.log(str(finding).removeprefix(f"{finding.node}: "))


def _key_trouble(gpu: Gpu) -> list[Finding]:
    try:
        key.fetch(gpu.rocm.key, gpu.rocm.fingerprint)
    except Failed as error:
        seen, _, rest = str(error).partition("; expected: ")
        expected, _, fix = rest.partition(". ")
        return [Finding("key of ROCm's repository", "stop", gpu.node, seen, expected, fix)]
    return []


def _lacking(host: Host, gpu: Gpu) -> change.Lacking:
    """Of a node that has been looked at."""
    seen: Seen = board(host.state, SEEN).get(host.name, Seen())
    needs = change.needs_key(gpu, seen)
    return change.lacking(gpu, seen, key.fetch(gpu.rocm.key, gpu.rocm.fingerprint) if needs else seen.key)


@operation()
def installed(gpu: Gpu) -> Commands:
    host = current()
    if found := board(host.state, FINDINGS).get(host.name):
        if host.state.is_executing:
            raise Failed("\n".join(map(str, found)))
        host.noop("left alone")
        return
    want = _lacking(host, gpu)
    if not want:
        host.noop("nothing is lacking")
        return
    host.log(f"its stack for {' and '.join(gpu.stacks)}: {' '.join(want.packages) or 'settings'}")
    for file in want.files:
        yield write(file)
    yield job("gpu", change.add_script(gpu, board(host.state, SEEN)[host.name], want))


@operation()
def tried(gpu: Gpu) -> Commands:
    """The service user sees the device. Only where something changed is it looked at again."""
    host = current()
    if not gpu.stacks or board(host.state, FINDINGS).get(host.name):
        host.noop("nothing to try")
        return
    if _lacking(host, gpu):
        if not host.state.is_executing:
            host.noop("tried when it is there")
            return
        board(host.state, SEEN)[host.name] = look(host, GpuStates, gpu=gpu)
        _warn(host, judge.against(gpu, board(host.state, SEEN)[host.name]))
    seen = board(host.state, SEEN)[host.name]
    if not (seen.members or host.state.is_executing):
        host.noop("tried when the service user is there")
        return
    board(host.state, UNFIT)[host.name] = judge.unfit(gpu, seen)
    host.noop(", ".join(judge.devices(seen)) or "looked at")
    yield from ()


@operation()
def fit() -> Commands:
    """Raises Failed with what is wrong on any node."""
    host = current()
    found = [str(finding) for findings in board(host.state, UNFIT).values() for finding in findings]
    if found:
        raise Failed("\n".join(sorted(found)))
    host.noop("every device is there")
    yield from ()


@operation()
def tidied(gpu: Gpu) -> Commands:
    """What an earlier inventory asked for and this one does not. A node that never had a stack is not asked."""
    host = current()
    if not gpu.stacks and not board(host.state, GPU_REMAINS).get(host.name):
        host.noop("nothing of ours")
        return
    if host.name not in board(host.state, SEEN):
        board(host.state, SEEN)[host.name] = look(host, GpuStates, gpu=gpu)
    seen = board(host.state, SEEN)[host.name]
    over = change.remains(gpu, seen)
    if not over:
        host.noop("nothing of before")
        return
    host.log(f"goes: {' '.join((*over.packages, *over.files, *over.groups, *over.moved))}")
    yield job("gpu-remains", change.remove_script(seen, over))
