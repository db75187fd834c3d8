"""One service under watch: a look, what it means, and what is done about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import act, server, worker
from .decide import Complaint, Memory, step, wait
from .life import Life, live
from .seen import Server, Sight, Socket, Unit, Worker

KEPT = 10
"""Deeds that are shown."""


@dataclass
class Watch:
    """deeds: the latest; restarts: how many there were since the node was booted. keepalives: connections that have
    been seen to. noted: what was last said, so that it is said once."""

    service: Worker | Server
    say: Callable[[str], None]
    memory: Memory = field(default_factory=Memory)
    life: Life = field(default_factory=Life)
    sight: Sight | None = None
    complaints: tuple[Complaint, ...] = ()
    deeds: list[dict[str, Any]] = field(default_factory=list)
    restarts: int = 0
    keepalives: set[tuple[int, str, str]] = field(default_factory=set)
    noted: str = ""

    @property
    def name(self) -> str:
        return self.service.unit

    def judge(self, now: float, sight: Sight) -> Complaint | None:
        """Takes a look into account; what asks for a deed now."""
        self.sight, self.life = sight, live(self.life, now, sight)
        if isinstance(self.service, Worker):
            self.complaints = tuple(worker.complaints(self.service, sight, self.life, now))
            self.note(worker.note(self.service, sight))
        else:
            self.complaints = tuple(server.complaints(self.service, sight, self.life, now))
            self.note(server.note(self.service, sight))
        self.memory, due = step(self.memory, now, sight.unit.invocation, self.complaints, serves=self._serves(sight))
        return due

    def note(self, text: str) -> None:
        if text and text != self.noted:
            self.say(f"{self.name}: {text}")
        self.noted = text

    def act(self, due: Complaint, unit: Unit) -> None:
        done = act.end(self.name, unit)
        count = self.memory.deeds
        later = f"; {count} times by now, next in {wait(count):.0f} s at the soonest" if count > 1 else ""
        self.say(f"{self.name}: {due.text}: {done}{later}")
        self.deeds = [*self.deeds, {"time": time.time(), "kind": due.kind, "seen": due.text, "done": done}][-KEPT:]
        self.restarts += 1

    def keep_alive(self) -> None:
        """Has TCP ask sooner for the other ends of the RPC connections, once for each."""
        if self.sight is None or self.sight.process is None:
            return
        for each in filter(self._rpc, self.sight.owned("ESTAB")):
            key = (self.sight.unit.pid, each.local, each.peer)
            if key not in self.keepalives:
                try:
                    act.keepalive(self.sight.unit.pid, self.sight.process.sockets[each.inode])
                except OSError as error:
                    self.say(f"{self.name}: no keepalive on the connection with {each.peer}: {error.strerror}")
            self.keepalives.add(key)
        self.keepalives = {key for key in self.keepalives if key[0] == self.sight.unit.pid}

    def _rpc(self, each: Socket) -> bool:
        if isinstance(self.service, Worker):
            return each.local == self.service.endpoint
        return each.peer in self.service.workers

    def state(self, now: float) -> dict[str, Any]:
        """For status, metrics and people; and for the guard's successor."""
        sight = self.sight or Sight(Unit())
        return {
            "unit": self.name,
            "state": self._word(sight),
            "active": sight.unit.active,
            "api": sight.api.state if isinstance(self.service, Server) else None,
            "complaints": [
                {"kind": each.kind, "seen": each.text, "seconds": round(now - self.memory.since.get(each.kind, now), 1)}
                for each in self.complaints
            ],
            "note": self.noted,
            "worked": _ago(now, self.life.worked),
            "canaries": sight.canary.answered,
            "deeds": self.deeds,
            "restarts": self.restarts,
            "strikes": self.memory.deeds,
            "acted": self.memory.acted if self.memory.deeds else None,
        }

    def _word(self, sight: Sight) -> str:
        if sight.unit.active != "active":
            return "down"
        if self.complaints:
            return "suspect"
        return "well" if self._serves(sight) else "starting"

    def _serves(self, sight: Sight) -> bool:
        """Whether it is in service: a server that has been ready, a worker from its start."""
        return sight.unit.active == "active" and (self.life.ready or isinstance(self.service, Worker))

    def inherit(self, state: Mapping[str, Any]) -> None:
        """What a guard before this one knew: whoever kills the guard must not make it impatient."""
        self.deeds = list(state.get("deeds", []))
        self.restarts = int(state.get("restarts", len(self.deeds)))
        if state.get("acted") is not None:
            self.memory = Memory(deeds=int(state["strikes"]), acted=float(state["acted"]))


def _ago(now: float, then: float) -> float | None:
    return round(now - then, 1) if then > float("-inf") else None
