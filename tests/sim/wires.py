"""What is at the other ends of the links: ping and arping of iputils 20221126, as recorded between two namespaces."""

from __future__ import annotations

import re

from tests.sim.network import Network
from tests.sim.shell import Call, NotModelled, Reply

TIMES = (0.436, 0.047, 0.048, 0.045, 0.048)


def mac(address: str) -> str:
    """Of whoever has the address: the same on every run."""
    return ":".join(f"{byte:02x}" for byte in (2, 0, *map(int, address.split("."))))


class Wires:
    """Programs: ping, arping. Everybody whom the inventory knows is there and answers, unless a test says otherwise.

    silent: addresses that do not answer. passes: bytes of the largest packet that gets through unsplit. also: address
    -> MACs of others that have it too, the node's own addresses among them.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.silent: set[str] = set()
        self.passes = 65535
        self.also: dict[str, tuple[str, ...]] = {}

    def ping(self, call: Call) -> Reply:
        match call.words:
            case ["-n", "-q", "-c", "1", "-W", "1", "-I", source, to]:
                return Reply(status=int(self._lost(source, to)))
            case ["-n", "-c", count, "-i", "0.01", "-W", "1", "-I", source, to]:
                return self._loud(source, to, int(count))
            case ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", size, "-I", source, to]:
                fits = int(size) + 28 <= min(self.passes, self._mtu(source))
                return Reply(status=int(self._lost(source, to) or not fits))
            case ["-6", "-L", "-n", "-c", _, "-i", "0.3", "-W", "1", all_nodes] if all_nodes.startswith("ff02::1%"):
                return Reply(status=1)  # nobody has IPv6
        raise NotModelled(call)

    def arping(self, call: Call) -> Reply:
        match call.words:
            case ["-b", "-c", "2", "-w", "1", "-I", _, to]:
                known = (() if to in self.silent else (mac(to),)) + self.also.get(to, ())
                return self._replies(to, known)
            case ["-D", "-c", _, "-w", _, "-I", _, own]:
                return self._replies(own, self.also.get(own, ())[:1])
        raise NotModelled(call)

    def _replies(self, address: str, macs: tuple[str, ...]) -> Reply:
        lines = [f"Unicast reply from {address} [{each.upper()}]  0.569ms\n" for each in macs]
        head = f"ARPING {address} from 0.0.0.0 l1\n"
        return Reply(f"{head}{''.join(lines)}Sent 1 probes (1 broadcast(s))\nReceived {len(lines)} response(s)\n")

    def _loud(self, source: str, to: str, count: int) -> Reply:
        if self._lost(source, to):
            raise NotModelled("a ping of many to nobody")
        lines = [
            f"64 bytes from {to}: icmp_seq={number + 1} ttl=64 time={TIMES[number % len(TIMES)]:.3f} ms\n"
            for number in range(count)
        ]
        head = f"PING {to} ({to}) from {source} : 56(84) bytes of data.\n"
        tail = f"{count} packets transmitted, {count} received, 0% packet loss, time 102ms\n"
        tail += "rtt min/avg/max/mdev = 0.045/0.124/0.436/0.155 ms\n"
        return Reply(f"{head}{''.join(lines)}\n--- {to} ping statistics ---\n{tail}")

    def _mtu(self, source: str) -> int:
        (name,) = (name for name, owns in self.network.addresses.items() if source in _bare(owns))
        return self.network.mtus[name]

    def _lost(self, source: str, to: str) -> bool:
        return to in self.silent or not self.network.has(source)


def _bare(addresses: list[str]) -> list[str]:
    return [re.sub(r"/.*", "", address) for address in addresses]
