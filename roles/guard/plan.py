"""The guard of a node: what it looks after, its program, its unit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

from inventory.spec import Lab, units
from roles.guard.program.seen import Config, Server, Worker
from roles.lib import layout
from roles.lib.paths import Absent, Directory, File
from roles.lib.render import render
from roles.lib.units import Service, revision
from roles.llama_cpp.plan import Release, of_serve
from roles.llama_server.plan import LlamaServer
from roles.llama_server.plan import plan as llama_servers
from roles.rpc_server.plan import UNIT as RPC
from roles.rpc_server.plan import plan as rpc_server

UNIT = units.GUARD
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
CONFIG = f"{layout.ETC}/guard.json"
STATE = "/run/halofleet/guard.json"
"""What it thinks of the services, what it has done and when: written anew with every look."""

FOLDER = f"{layout.PROGRAMS}/guard"
PROGRAMS = f"{FOLDER}/*.py"
"""Whatever else matches is of an older version."""

HERE = Path(__file__).parent

QUIET_CPU, QUIET_GPU = 15.0, 60.0
"""Seconds without any sign of life, with something to do, after which a server is dead. Who computes on the CPU uses
it. Who waits for a GPU may do nothing at all, and a controller whose workers compute hears nothing from them: for 512
tokens of a prompt at 20 tokens/s that is 25 s."""
MUTE_PIECE, MUTE_BATCH = 300.0, 1200.0
"""Seconds without anything that came of it, however busy it is: a CPU may take 2 tokens a second. With workers the end
of each piece of a prompt is seen on a connection; of a server that computes alone a batch's, when its slot moves on.
The controller of a worker that computes on its CPU sees that end too, and not how busy that CPU is until then: to it
this worker may be quiet for as long."""
PIECE, BATCH = 512, 2048
"""Tokens: llama.cpp's own choice of --ubatch-size and --batch-size."""
PIECE_FLAGS, BATCH_FLAGS = ("-ub", "--ubatch-size"), ("-b", "--batch-size")


@dataclass(frozen=True)
class Guard:
    """servers: whose API keys it needs."""

    config: Config
    servers: tuple[LlamaServer, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """That it looks after."""
        worker = (self.config.worker.unit,) if self.config.worker else ()
        return (*worker, *(each.unit for each in self.config.servers))


def plan(lab: Lab, name: str) -> Guard | None:
    """None where the node neither serves nor lends anything."""
    servers, rpc = llama_servers(lab, name), rpc_server(lab, name)
    if not servers and rpc is None:
        return None
    worker = None
    if rpc is not None:
        longer = _longer(lab.spec.serves[rpc.serve].extra, PIECE_FLAGS, PIECE)
        worker = Worker(RPC, rpc.endpoint, _quiet(rpc.release.backend) * longer, MUTE_PIECE * longer)
    watched = tuple(_server(each, [of_serve(lab, each.serve, lender) for lender in each.lenders]) for each in servers)
    return Guard(Config(name, worker, watched, lines()), servers)


def _server(server: LlamaServer, lent: list[Release]) -> Server:
    host = "127.0.0.1" if server.bind.is_unspecified else str(server.bind)
    piece, batch = _longer(server.extra, PIECE_FLAGS, PIECE), _longer(server.extra, BATCH_FLAGS, BATCH)
    if lent:
        by_cpu = any(each.backend == "cpu" or each.software for each in lent)
        quiet, mute = (MUTE_PIECE if by_cpu else QUIET_GPU) * piece, MUTE_PIECE * piece
    else:
        quiet, mute = _quiet(server.release.backend) * piece, MUTE_BATCH * batch
    return Server(server.unit, server.serve, host, server.port, server.workers, quiet, mute)


def _quiet(backend: str) -> float:
    return QUIET_CPU if backend == "cpu" else QUIET_GPU


def _longer(extra: tuple[str, ...], flags: tuple[str, str], usual: int) -> float:
    """How many times as long a piece or a batch of a prompt may take, by the user's own flags."""
    sizes = [int(value) for flag, value in pairwise(extra) if flag.replace("_", "-") in flags and value.isdecimal()]
    return max(1.0, sizes[-1] / usual) if sizes else 1.0


@cache
def lines() -> tuple[str, ...]:
    """Of a journal, that mean a lost device."""
    return tuple(each["part"] for each in yaml.safe_load((HERE / "data/lines.yml").read_text())["lines"])


@cache
def program() -> tuple[File, ...]:
    """As it is placed on a node."""
    return tuple(File(f"{FOLDER}/{path.name}", path.read_text()) for path in sorted((HERE / "program").glob("*.py")))


def unit(guard: Guard, keys: tuple[str, ...]) -> tuple[tuple[Directory | File, ...], Service]:
    """All its files, and the service that should run from them. keys: digests; another key is another revision."""
    files = (*program(), File(CONFIG, json.dumps(asdict(guard.config), indent=1) + "\n"))
    values = {"guard": guard, "programs": layout.PROGRAMS}
    text = render("guard/guard.service.j2", revision="", **values)
    digest = revision(text, *keys, *(each.sha256 for each in files))
    written = File(UNIT_PATH, render("guard/guard.service.j2", revision=digest, **values))
    return (Directory(FOLDER), *files, written), Service(UNIT, digest)


def remains() -> tuple[Absent, ...]:
    """What a node has no use for that is nobody's any more, but for the unit."""
    return (*(Absent(each.path) for each in program()), Absent(CONFIG))
