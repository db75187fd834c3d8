"""How fast a link is: iperf3 for some seconds, both ways. What runs where is planned here; judged here too.

The receiver listens on its address of that link, for one client each way and no longer than that takes. The firewall
(roles/firewall) lets nobody in there but the sender from its address of the link, before and afterwards too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import gevent
from pyinfra.api import Host, StringCommand

from roles.lib.finding import Finding
from roles.link_proof.facts import Sight
from roles.link_proof.plan import Pair, Peer, Proof, rounds

FLOOR = 8.0
"""Gbit/s, of USB4 and of 10GbE."""
MEASURED = "USB4: geerling 10, wkljohn 9.2, llama.cpp#19745 9.4 Gbit/s"

SECONDS = 3
SECONDS_VIRTUAL = 1
GRACE = 30
"""Seconds that the receiver stays longer than it is to be measured: nodes may be busy, and a sender may not come."""

LANES = {"speed": "20.0 Gb/s", "lanes": "2"}
"""USB4's 40 Gb/s, as sysfs says them. A link that trained at 10.0 Gb/s is seen in OdinLink-Five#31."""


@dataclass(frozen=True)
class Speed:
    """Gbit/s to the receiver and back; what went wrong instead."""

    there: float = 0
    back: float = 0
    problem: str = ""

    @property
    def least(self) -> float:
        return min(self.there, self.back)


def listen(pair: Pair, port: int, seconds: int) -> StringCommand:
    server = f"iperf3 -s -1 -B {pair.receiver.address} -p {port}"
    return StringCommand(f"timeout {GRACE + 2 * seconds} sh -c '{server} && {server}' >/dev/null 2>&1 || true")


def send(pair: Pair, port: int, seconds: int) -> StringCommand:
    """Two lines of JSON: to the receiver, and from it."""
    ends = f"-c {pair.receiver.address} -B {pair.sender.address} -p {port}"
    client = f"timeout {GRACE} iperf3 -J {ends} --connect-timeout 2000 -t {seconds}"
    said = "echo \"$said\" | tr -d '\\n\\t'; echo"
    return StringCommand(
        # The receiver takes a moment to listen, and one more between the two ways. iperf3 3.12, refused, ends with 0.
        f'for way in "" -R; do tries=0; while said=$({client} $way 2>/dev/null); '
        "case $said in *'\"error\":'* | '') true ;; *) false ;; esac; do tries=$((tries + 1)); "
        f"if [ $tries -ge 8 ]; then {said}; exit; fi; sleep 0.5; done; {said}; done"
    )


def parse(output: Iterable[str]) -> Speed:
    found, problem = [], ""
    for line in output:
        try:
            said = json.loads(line)
        except ValueError:
            said = {"error": line.strip()[:200] or "said nothing"}
        problem = problem or str(said.get("error", ""))
        found.append(float(said.get("end", {}).get("sum_received", {}).get("bits_per_second", 0)) / 1e9)
    if len(found) != 2 or not all(found):
        return Speed(problem=problem or "said nothing")
    return Speed(found[0], found[1])


def measure(
    hosts: Mapping[str, Host], sights: Mapping[str, Sight], asked: Iterable[Pair], port: int, seconds: int
) -> dict[Pair, Speed]:
    """Round by round, so that no link and no node takes part twice at a time. sights: of the nodes that take part."""
    there = [pair for pair in asked if {pair.sender.node, pair.receiver.node} <= sights.keys()]
    found = {pair: Speed(problem=problem) for pair in there if (problem := _lacks(sights, pair))}
    for pairs in rounds(pair for pair in there if pair not in found):
        receivers = [_start(hosts[pair.receiver.node], listen(pair, port, seconds)) for pair in pairs]
        senders = [(pair, _start(hosts[pair.sender.node], send(pair, port, seconds))) for pair in pairs]
        for pair, sender in senders:
            found[pair] = parse(sender.get())
        gevent.joinall(receivers)
    return found


def _lacks(sights: Mapping[str, Sight], pair: Pair) -> str:
    nodes = [end.node for end in (pair.sender, pair.receiver) if "iperf3" in sights[end.node].lacks]
    return f"{' and '.join(nodes)} has no iperf3" if nodes else ""


def _start(host: Host, command: StringCommand) -> gevent.Greenlet:
    """As the user that SSH logs in as: nothing of it needs root."""
    return gevent.spawn(lambda: host.run_shell_command(command, _sudo=False)[1].stdout_lines)


def judge(proofs: Mapping[str, Proof], sights: Mapping[str, Sight], speeds: Mapping[Pair, Speed]) -> Iterator[Finding]:
    for pair, speed in speeds.items():
        node, rule = pair.sender.node, f"{pair.link}: throughput"
        between = f"to {pair.receiver.node}"
        if speed.problem:
            fix = "cluster.py installs iperf3 and opens its door; journalctl, ss -ltnp"
            yield Finding(rule, "warn", node, f"could not be measured {between}: {speed.problem}", "a figure", fix)
        elif not proofs[node].virtual and speed.least < FLOOR:
            seen = f"{speed.there:.1f} Gbit/s {between}, {speed.back:.1f} back"
            fix = _slow(sights, pair)
            yield Finding(rule, "warn", node, seen, f"{FLOOR:g} Gbit/s or more", fix, MEASURED)
    for node, sight in sights.items():
        if not proofs[node].virtual:
            yield from _lanes(proofs[node], sight)


def _slow(sights: Mapping[str, Sight], pair: Pair) -> str:
    if pair.kind == "usb4":
        return "another cable (40 Gb/s, short), the other port; lanes and speed of the link are said beside this"
    said = [f"{end.interface} of {end.node} runs at {_port(sights, end)} Mb/s" for end in (pair.sender, pair.receiver)]
    return f"cable, switch port, cooling of the chip ({', '.join(said)})"


def _port(sights: Mapping[str, Sight], end: Peer) -> str:
    sight = sights.get(end.node)
    return str(sight.port[end.interface]) if sight and end.interface in sight.port else "unknown"


def _lanes(proof: Proof, sight: Sight) -> Iterator[Finding]:
    for wire in proof.wires:
        said = sight.usb4.get(wire.interface, {})
        slow = {key: value for key, value in said.items() if value != LANES[key.partition("_")[2]]}
        if wire.kind == "usb4" and slow:
            seen = ", ".join(f"{key} {value}" for key, value in slow.items())
            expected = f"{LANES['speed']} and {LANES['lanes']} lanes each way"
            fix = "plug the cable in anew (with Ethernet out: it matters on some boards), another cable, the other port"
            rule = f"{wire.link}: trained slowly"
            yield Finding(rule, "warn", proof.node, seen, expected, fix, "OdinLink-Five#31")
