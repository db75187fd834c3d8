"""Looks every two seconds, for ever. `--once` looks twice, prints what it sees, and does nothing.

cd /opt/halofleet/lib && python3 -Bm guard --once
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import api, look, server
from .journal import Follower
from .seen import Api, Config, Server, Sight, Socket, Unit, Worker, config
from .watch import Watch

EVERY = 2.0
"""Seconds."""


class Guard:
    def __init__(self, wanted: Config, keys: Callable[[str], str]) -> None:
        self.config, self.keys = wanted, keys
        services: list[Worker | Server] = [*([wanted.worker] if wanted.worker else []), *wanted.servers]
        self.watches = [Watch(service, warn) for service in services]
        self.birds = {each.unit: api.Birds(each) for each in wanted.servers}
        self.journals = {each.unit: Follower(each.unit, wanted.lines) for each in wanted.servers}
        self.pool = ThreadPoolExecutor(max(1, len(wanted.servers)))
        self.answers: dict[str, Future[Api]] = {}
        self.trouble = ""

    def turn(self, acting: bool) -> None:
        """One look at everything. What goes wrong with one service keeps no other from being looked at."""
        units = look.units(watch.name for watch in self.watches)
        sockets = look.sockets(self._ports())
        # All at once: where none answers, one after another would take longer than a look may (decide.GAP).
        running = [each for each in self.config.servers if units[each.unit].active == "active"]
        self.answers = {each.unit: self.pool.submit(self._ask, each) for each in running}
        trouble = [follower.trouble for follower in self.journals.values() if follower.trouble]
        for watch in self.watches:
            try:
                self._look(watch, units[watch.name], sockets, acting)
            except Exception as error:  # whatever it is, the next service and the next turn come
                trouble.append(f"{watch.name}: could not be judged: {type(error).__name__}: {error}")
        self.troubled("; ".join(trouble))

    def troubled(self, text: str) -> None:
        if text and text != self.trouble:
            warn(text)
        self.trouble = text

    def _ports(self) -> Iterable[int]:
        if self.config.worker:
            yield _port(self.config.worker.endpoint)
        for each in self.config.servers:
            yield from map(_port, each.workers)

    def _look(self, watch: Watch, unit: Unit, sockets: tuple[Socket, ...], acting: bool) -> None:
        process = look.process(unit.pid) if unit.pid else None
        sight = Sight(unit, process, sockets)
        service = watch.service
        if isinstance(service, Server):
            sight = self._asked(service, sight)
        elif unit.active != "active":
            sight = Sight(unit, process, sockets, holder=look.holder(service.endpoint, sockets))
        now = time.monotonic()
        due = watch.judge(now, sight)
        if not acting:
            return
        if due:
            watch.act(due, unit)
            return
        watch.keep_alive()
        if isinstance(service, Server):
            slot = server.canary(service, sight, watch.life, now)
            if slot is not None:
                self.birds[service.unit].send(self.keys(service.serve), slot)

    def _asked(self, service: Server, sight: Sight) -> Sight:
        canary = self.birds[service.unit].of(sight.unit.invocation)
        if sight.unit.active != "active":
            return sight
        answer = self.answers[service.unit].result()
        lost = self.journals[service.unit].lost(sight.unit.invocation, time.monotonic())
        return Sight(sight.unit, sight.process, sight.sockets, answer, canary, lost)

    def _ask(self, service: Server) -> Api:
        return api.ask(service, self.keys(service.serve))

    def state(self) -> dict[str, Any]:
        now = time.monotonic()
        units = [watch.state(now) for watch in self.watches]
        return {"node": self.config.node, "time": time.time(), "trouble": self.trouble, "units": units}

    def inherit(self, path: Path) -> None:
        try:
            before = {each["unit"]: each for each in json.loads(path.read_text())["units"]}
            for watch in self.watches:
                watch.inherit(before.get(watch.name, {}))
        except (OSError, ValueError, KeyError, TypeError):
            return  # the first since the node was booted, or of another version


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def warn(text: str) -> None:
    """A line for the journal, as a warning."""
    print(f"<4>{text}", flush=True)


def credential(serve: str) -> str:
    """The API key of a serve: the first of its file, which systemd hands over; for `--once` by hand the file itself."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / serve if folder else Path(f"/etc/halofleet/{serve}.key")
    words = path.read_text().split()
    return words[0] if words else ""


def write(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all, and for everybody to read."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(state, indent=1) + "\n")
    part.chmod(0o644)
    part.replace(path)


def notify(text: str) -> None:
    """sd_notify(3)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def main() -> int:
    options = argparse.ArgumentParser(prog="guard", description=__doc__)
    options.add_argument("--config", type=Path, default=Path("/etc/halofleet/guard.json"))
    options.add_argument("--state", type=Path, default=Path("/run/halofleet/guard.json"))
    options.add_argument("--once", action="store_true", help="look twice, print what is seen, do nothing")
    given = options.parse_args()
    guard = Guard(config(json.loads(given.config.read_text())), credential)
    if given.once:
        guard.turn(acting=False)
        time.sleep(EVERY)
        guard.turn(acting=False)
        print(json.dumps(guard.state(), indent=1))
        return 0
    guard.inherit(given.state)
    notify("READY=1")
    while True:
        try:
            guard.turn(acting=True)
            write(given.state, guard.state())
        except Exception as error:  # systemd that does not answer in time, a full /run: the next turn comes
            guard.troubled(f"{type(error).__name__}: {error}")
        notify("WATCHDOG=1")
        time.sleep(EVERY)


if __name__ == "__main__":
    sys.exit(main())
