"""Sockets and journals of the servers that run: as ss and journalctl of trixie print them."""

from __future__ import annotations

import re

from tests.sim.shell import Call, NotModelled, Reply
from tests.sim.systemd import Systemd
from tests.sim.units import Unit


class Sockets:
    """Programs: ss, journalctl. lost: `ADDRESS:PORT` of workers whose connection broke since their server started."""

    def __init__(self, systemd: Systemd) -> None:
        self.systemd = systemd
        self.lost: set[tuple[str, str]] = set()
        self.guests: tuple[str, ...] = ()
        """`ADDRESS:PORT` of the controllers that are connected to this host's worker."""
        self.sessions: dict[int, int] = {}
        """SSH session's pid -> milliseconds since it was last heard."""

    def lose(self, worker: str) -> None:
        """The worker was restarted under its controller; /health would still say ok."""
        self.lost |= {(unit.invocation, worker) for unit in self._running()}

    def _running(self) -> list[Unit]:
        return [unit for unit in self.systemd.units.values() if unit.active == "active" and unit.values("ExecStart")]

    @staticmethod
    def _option(unit: Unit, name: str) -> str:
        found = re.search(rf" --{name} (\S+)", unit.runs)
        return found[1] if found else ""

    def _workers(self, unit: Unit) -> list[str]:
        return [worker for worker in self._option(unit, "rpc").split(",") if worker]

    def ss(self, call: Call) -> Reply:
        servers = [unit for unit in self._running() if unit.pid]
        match call.words:
            case ["-ltnH"]:
                own = [f"{self._option(unit, 'host')}:{self._option(unit, 'port')}" for unit in servers]
                return Reply("".join(f"LISTEN 0      512    {at:>16} 0.0.0.0:*\n" for at in (*own, "0.0.0.0:22")))
            case ["-tniHpO", "state", "established"]:
                lines = [
                    f'0      0      10.43.0.11:22    10.43.0.1:40974 users:(("sshd-session",pid={session},fd=7)) cubic '
                    f"wscale:10,10 rto:201 rtt:0.2/0.1 lastsnd:20 lastrcv:{silence} lastack:20 pacing_rate 5Gbps\n"
                    for session, silence in self.sessions.items()
                ]
                return Reply("".join(lines))
            case ["-tnpH", "state", "established"]:
                lines = [
                    f'0      0       10.44.0.0:{4711 + number} {worker} users:(("llama-server",pid={unit.pid},fd=6))'
                    for unit in servers
                    for number, worker in enumerate(self._workers(unit))
                    if (unit.invocation, worker) not in self.lost
                ]
                lines += [
                    f"0      0       {self._option(unit, 'host')}:{self._option(unit, 'port')} {guest} "
                    f'users:(("ggml-rpc-server",pid={unit.pid},fd=4))'
                    for unit in servers
                    for guest in self.guests
                    if "ggml-rpc-server" in unit.text
                ]
                session = '0      0      10.43.0.11:22    10.43.0.1:40974 users:(("sshd-session",pid=8000001,fd=7))'
                return Reply("".join(f"{line:<103}\n" for line in (session, *lines)))
        raise NotModelled(call)

    def journalctl(self, call: Call) -> Reply:
        match call.words:
            case ["-q", "-o", "cat", field] if field.startswith("_SYSTEMD_INVOCATION_ID="):
                invocation = field.partition("=")[2]
            case ["-q", "-n", "10", "-o", "cat", field] if field.startswith("_SYSTEMD_UNIT="):
                return Reply()  # of a unit that did not start, asked for its last words
            case _:
                raise NotModelled(call)
        unit = next(unit for unit in self._running() if unit.invocation == invocation)
        lines = ["0.00.112.796 I load_tensors:          CPU model buffer size =    15.62 MiB"]
        for worker in self._workers(unit):
            lines.append(f"0.00.112.867 I load_tensors: RPC0[{worker}] model buffer size =    10.01 MiB")
            lines.append(f"0.00.198.769 I llama_kv_cache: RPC0[{worker}] KV buffer size =    10.00 MiB")
        return Reply("".join(f"{line}\n" for line in lines))
