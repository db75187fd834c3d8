"""What the guard looks at: plain data, and what its files say it should look after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Unit:
    """systemctl(1) show. command: the line that it runs, as systemd shows it. result: how it ended."""

    active: str = "inactive"
    pid: int = 0
    invocation: str = ""
    command: str = ""
    result: str = ""

    def has(self, flags: tuple[str, ...]) -> bool:
        """Whether it is the one that the guard was told of. cluster.py starts another one before it tells the guard of
        it, and may be interrupted in between."""
        return all(flag in self.command for flag in flags)

    @property
    def given_up(self) -> bool:
        """systemd does not start it again by itself. One that somebody has stopped may have failed at that (it ignored
        the SIGTERM, and timed out), and is not such a one."""
        return self.active == "failed" and self.result in ("start-limit-hit", "resources")


@dataclass(frozen=True)
class Process:
    """state: the letter of proc(5); `T` is stopped by a signal. cpu: seconds used. disk: bytes that it read
    from files and wrote to disks. sockets: the number of its descriptor by inode."""

    state: str
    cpu: float
    disk: int
    sockets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Socket:
    """A line of ss(8). unread: bytes that the kernel has and the process has not read; of a listening one the
    connections that wait to be accepted. taken, given: bytes that the process has read and written since it began.
    silent: seconds since the other end sent anything."""

    state: str
    local: str
    peer: str
    unread: int = 0
    inode: int = 0
    taken: int = 0
    given: int = 0
    silent: float = 0
    keepalive: bool = False


@dataclass(frozen=True)
class Slot:
    """Of llama-server's /slots. task: empty where it never had one. tokens: what its cache holds; context: how many it
    could, alone or together with the others."""

    number: int
    busy: bool
    task: int | None = None
    tokens: int = 0
    prompt_done: int = 0
    decoded: int = 0
    context: int = 0


@dataclass(frozen=True)
class Api:
    """What llama-server answers. state: `refused` (nobody listens), `cut` (somebody does, and does not speak with us),
    `silent` (nothing for seconds), `loading`, `ready`, or `closed` (it answers, but does not show its slots)."""

    state: str = "refused"
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Canary:
    """Completions of one token, of our own. slot, asked: of the latest, and when it was sent; running: it is not
    answered yet. answered: how many were, well; sick: how many in a row came back as the server's own error."""

    slot: int | None = None
    asked: float = float("-inf")
    running: bool = False
    answered: int = 0
    sick: int = 0


@dataclass(frozen=True)
class Sight:
    """Of one service at one moment. sockets: of its RPC connections and ports, its own and others'. device_lost: a
    line of its journal that says so. holder: who else listens where it should."""

    unit: Unit
    process: Process | None = None
    sockets: tuple[Socket, ...] = ()
    api: Api = Api()
    canary: Canary = Canary()
    device_lost: str = ""
    holder: str = ""

    def owned(self, state: str) -> tuple[Socket, ...]:
        """The process's own sockets in that state."""
        mine = self.process.sockets if self.process else {}
        return tuple(socket for socket in self.sockets if socket.state == state and socket.inode in mine)


@dataclass(frozen=True)
class Worker:
    """The RPC server of this node. Seconds with data to read after which it is dead; quiet: without any sign of life,
    mute: without reading, however busy."""

    unit: str
    endpoint: str
    quiet: float
    mute: float

    @property
    def flags(self) -> tuple[str, ...]:
        """By which it is the server that the guard was told of."""
        host, _, port = self.endpoint.rpartition(":")
        return (f" --host {host} --port {port} ",)


@dataclass(frozen=True)
class Server:
    """llama-server of a serve. host, port: where its API answers this node. workers: `ADDRESS:PORT`. Seconds with
    something to do after which it is dead; quiet: without any sign of life, mute: without work done, however busy."""

    unit: str
    serve: str
    host: str
    port: int
    workers: tuple[str, ...]
    quiet: float
    mute: float

    @property
    def flags(self) -> tuple[str, ...]:
        """By which it is the server that the guard was told of."""
        port = f" --port {self.port} "
        return (port, f" --rpc {','.join(self.workers)} ") if self.workers else (port,)


@dataclass(frozen=True)
class Config:
    """lines: parts of a line of the journal that mean that a device is lost."""

    node: str
    worker: Worker | None
    servers: tuple[Server, ...]
    lines: tuple[str, ...]


def config(data: Mapping[str, Any]) -> Config:
    """From the file that roles/guard writes."""
    return Config(
        node=data["node"],
        worker=Worker(**data["worker"]) if data["worker"] else None,
        servers=tuple(Server(**{**each, "workers": tuple(each["workers"])}) for each in data["servers"]),
        lines=tuple(data["lines"]),
    )
