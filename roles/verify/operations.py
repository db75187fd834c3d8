"""Verified by looking again, at what runs and not at what was done."""

from __future__ import annotations

import time
from typing import cast

from pyinfra.api import Host, operation

from roles.lib.board import board
from roles.lib.connector import HaloConnector
from roles.lib.end import ENDED, READY
from roles.lib.finding import Finding
from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed
from roles.llama_cpp import artifact, device
from roles.llama_server.plan import LlamaServer
from roles.rpc_server.plan import UNIT as RPC_UNIT
from roles.verify import api
from roles.verify.facts import Sight, Sights, UnitTrouble, WorkerBuffers
from roles.verify.plan import Check

READY_SECONDS = 1800
"""Loading hundreds of gigabytes over a link takes minutes (AMD's 375 GB on four nodes: up to 5)."""
LISTEN_SECONDS = 20
CRASHES = 5
TOPIC = "verify"


@operation()
def looked_at(check: Check) -> Commands:
    """Collects on every node: the right programs run, and listen where they should and nowhere else."""
    host = current()
    if host.state.is_executing:
        units = tuple(server.unit for server in check.servers) + ((RPC_UNIT,) if check.rpc else ())
        deadline = time.monotonic() + LISTEN_SECONDS
        while True:
            findings = judge(check, look(host, Sights, units=units, releases=check.releases))
            if not findings or time.monotonic() > deadline:
                break
            time.sleep(1)
        board(host.state, TOPIC)[host.name] = findings
    host.noop("looked at what runs and listens")
    yield from ()


def judge(check: Check, sight: Sight) -> list[Finding]:
    """Pure: what is seen and should not be, or is not seen and should."""

    def finding(rule: str, seen: str, expected: str, fix: str) -> Finding:
        return Finding(rule, "stop", check.node, seen, expected, fix)

    found = []
    programs = {server.unit: f"{server.release.path}/bin/llama-server" for server in check.servers}
    if check.rpc:
        programs[RPC_UNIT] = f"{check.rpc.release.path}/bin/ggml-rpc-server"
    for unit, wanted in programs.items():
        if (exe := sight.exes.get(unit, "")) != wanted:
            seen = exe or f"not running{_last_words(sight, unit)}"
            found.append(finding(f"{unit} runs its release", seen, wanted, f"journalctl -u {unit}"))
    for release in check.releases:
        commit, seen = artifact.manifest(release)["commit"], sight.commits.get(release.id, "")
        if not (seen and commit.startswith(seen)):
            found.append(finding("same commit on every node", seen or "none", commit, "run cluster.py again"))
        if lacking := device.lacking(check.node, release, sight.devices.get(release.id, {})):
            found.append(lacking)
    wanted_rpc = {f"{check.rpc.address}:{check.rpc.port}"} if check.rpc else set()
    ports = tuple(f":{port}" for port in check.rpc_ports)
    seen_rpc = {address for address in sight.listens if address.endswith(ports)}
    if seen_rpc != wanted_rpc:
        # It may be between two tries, and run at this very moment.
        nobody = f"nobody{_last_words(sight, RPC_UNIT) if sight.exes.get(RPC_UNIT) else ''}"
        seen, expected = ", ".join(sorted(seen_rpc)) or nobody, ", ".join(wanted_rpc) or "nobody"
        found.append(finding("RPC listens on its link only", seen, expected, f"ss -ltnp; journalctl -u {RPC_UNIT}"))
    return found


def _last_words(sight: Sight, unit: str) -> str:
    """Why it does not run, where its program has said so."""
    return f" ({'; '.join(sight.last_words[unit])})" if unit in sight.last_words else ""


@operation()
def all_well() -> Commands:
    """Raises Failed with everything that was found on any node."""
    host = current()
    findings = [str(finding) for found in board(host.state, TOPIC).values() for finding in found]
    findings += [f"{failed.name}: failed on the way, see above" for failed in host.state.failed_hosts]
    if findings:
        raise Failed("\n".join(sorted(findings)))
    host.noop("every node runs what it should")
    yield from ()


@operation()
def answers(server: LlamaServer) -> Commands:
    """The serve is ready, every worker holds layers, a completion comes with the key and is refused without."""
    host = current()
    if host.state.is_executing:
        connector = cast("HaloConnector", host.connector)
        address = str(server.address if server.bind.is_unspecified else server.bind)
        with connector.reach(address, server.port) as end:
            _asked(host, server, end)
        board(host.state, READY)[server.serve] = server.url
    host.noop(f"{server.serve} answers")
    yield from ()


def _asked(host: Host, server: LlamaServer, end: str) -> None:
    """end: `ADDRESS:PORT` that leads to the API. Raises Failed."""
    _wait_until_ready(host, server, end)
    holding = look(host, WorkerBuffers, unit=server.unit)
    if lacking := set(server.workers) - holding:
        workers = ", ".join(sorted(lacking))
        raise Failed(f"{host.name}: {server.serve}: no layers on {workers}; journalctl -u {server.unit}")
    status, tokens = api.completion(server, end, with_key=True)
    if status != 200 or tokens < 1:
        raise Failed(f"{host.name}: {server.url}: a completion with the key ended with {status} and {tokens} tokens")
    status, _ = api.completion(server, end, with_key=False)
    if status != 401:
        raise Failed(f"{host.name}: {server.url}: a completion without the key ended with {status}; expected: 401")


@operation()
def ended() -> Commands:
    """The run has come to its end: nothing before it failed or was interrupted, on any node."""
    host = current()
    if host.state.is_executing:
        board(host.state, ENDED)[host.name] = True
    host.noop("everything was looked at")
    yield from ()


def _wait_until_ready(host: Host, server: LlamaServer, end: str) -> None:
    start = told = time.monotonic()
    restarts_before: int | None = None
    while (status := api.health(end)) != 200:
        now = time.monotonic()
        if now - told >= 10:
            told = now
            host.log(f"{server.serve}: {'loading the model' if status else 'starting'} ({now - start:.0f} s)")
            restarts, journal = look(host, UnitTrouble, unit=server.unit)
            restarts_before = restarts if restarts_before is None else restarts_before
            if restarts - restarts_before >= CRASHES or now - start > READY_SECONDS:
                raise Failed(f"{host.name}: {server.unit} does not get ready; its journal ends:\n{journal}")
        time.sleep(0.5)
