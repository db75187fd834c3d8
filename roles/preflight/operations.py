"""Collected on every node first, decided on all of them afterwards: the report is whole and nothing is half-done."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime

from pyinfra.api import Host, operation

from inventory.spec.language.sources import UrlModel
from roles.doctor import judge as doctor
from roles.doctor.box import Box
from roles.doctor.look import Boxes
from roles.lib.board import GPU_REMAINS, HEADS, LINKS_PROVEN, QUIET, ROOMS, board
from roles.lib.finding import Finding
from roles.lib.remote import Commands, Question, Several, current, look
from roles.llama_cpp import artifact
from roles.llama_server import keys
from roles.models import fit, here, there
from roles.models.head import Head
from roles.models.plan import Model
from roles.preflight.facts import Snapshots
from roles.preflight.plan import Expected, Snapshot, judge, judge_access
from roles.preflight.ports import judge_ports
from roles.preflight.way import unplugged
from roles.quiet.facts import QuietStates
from roles.quiet.plan import Seen as Quiet

TOPIC = "preflight"
PATIENCE_SECONDS = 4


def holder() -> str:
    """Who we are, for whom the lock keeps out."""
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()} since {since}"


def locking(host: Host, expected: Expected) -> tuple[Snapshot, Box, Quiet]:
    """The node as it is; when the run is for real, the node's lock is taken in the same command."""
    lock = holder() if host.state.is_executing else ""
    asked = {"address": str(expected.address), "lock": lock, "ports": bool(expected.ports)}
    snapshot = Question(Snapshots, asked)
    for _ in range(PATIENCE_SECONDS):
        questions = (snapshot, Question(Boxes), Question(QuietStates))
        seen, box, quiet = look(host, Several, questions=questions)
        if not (seen.lock and host.state.is_executing):
            break
        time.sleep(1)  # the session of a run that was just killed takes a moment to end
    return seen, box, quiet


@operation()
def taken(expected: Expected) -> Commands:
    """Only the node's lock: for a run that takes back, which nothing else may stop."""
    host = current()
    seen, _, _ = locking(host, expected)
    board(host.state, TOPIC)[host.name] = judge_access(expected, seen)
    host.noop("nobody else works on it")
    yield from ()


@operation()
def collected(expected: Expected) -> Commands:
    """Everything that may stand against the node is judged."""
    host = current()
    seen, box, quiet = locking(host, expected)
    board(host.state, QUIET)[host.name] = quiet
    board(host.state, GPU_REMAINS)[host.name] = seen.gpu
    board(host.state, LINKS_PROVEN)[host.name] = seen.proven
    builds = any(each.builder == host.name and not artifact.is_cached(each) for each in expected.releases)
    lacking = there.trouble(host, tuple(model for model in expected.models if model.on_node))
    heads = _heads(host, expected.models)
    board(host.state, HEADS).update({f"{host.name} {model.path}": head for model, head in heads})
    board(host.state, ROOMS)[host.name] = fit.room(box, expected.box)
    said = doctor.against(box, host.name, expected.box)
    at_ports = judge_ports(expected, seen)
    board(host.state, TOPIC)[host.name] = [
        *judge(expected, seen, builds=builds),
        *(finding for finding in at_ports if finding.severity == "stop"),
        *judge_local(expected, lacking),
        *(finding for model, head in heads for finding in fit.context(host.name, model, head)),
        *(finding for finding in said if finding.severity == "stop"),
    ]
    for finding in at_ports:
        if finding.severity == "warn":
            host.log(f"warning: {finding}")
    if rules := dict.fromkeys(finding.rule for finding in said if finding.severity == "warn"):
        host.log(f"the doctor warns: {', '.join(rules)}; deploys/preflight.py says what to do")
    for name in unplugged(expected.interfaces, seen.way):
        host.log(f"interface {name}: no carrier; is its cable in, and the other node up? {name} is set up all the same")
    host.noop(f"{seen.os} {seen.arch}, {seen.free} MiB free")
    yield from ()


def _heads(host: Host, models: tuple[Model, ...]) -> list[tuple[Model, Head]]:
    """What the models' files say of them. One that the node is to fetch may be there already."""
    far = tuple(model for model in models if model.on_node or isinstance(model.spec, UrlModel))
    seen = there.heads(host, far) if far else {}
    found = [(model, seen.get(model.path) if model in far else here.head(model)) for model in models]
    return [(model, head) for model, head in found if head is not None]


@operation()
def fitting(expected: Expected) -> Commands:
    """What was seen of all nodes against what this node's serves need of them."""
    host = current()
    heads, rooms = board(host.state, HEADS), board(host.state, ROOMS)
    for need in expected.needs:
        if head := heads.get(f"{host.name} {need.model.path}"):
            board(host.state, TOPIC)[host.name] += fit.memory(need, head, rooms)
    host.noop(f"{len(expected.needs)} serves")
    yield from ()


def judge_local(expected: Expected, lacking: Mapping[str, str]) -> list[Finding]:
    """What the node needs of the user: keys on this machine, and models here or there. lacking: model -> why."""

    def stop(field: str, seen: str, wanted: str, fix: str) -> Finding:
        return Finding(field, "stop", expected.node, seen, wanted, fix)

    found = [
        stop(f"serves.{serve}.api_key_file", problem, "keys, its owner's alone", "correct it, or leave the field out")
        for serve, path in expected.key_files
        if (problem := keys.trouble(path))
    ]
    for model in expected.models:
        if problem := lacking.get(model.name) or here.trouble(model):
            found.append(stop(f"models.{model.name}", problem, "the model", "correct the path, or put it there"))
    return found
