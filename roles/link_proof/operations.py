"""The links are proven once for each plan of theirs, before anything relies on them; that is kept on the nodes.

Collected on every node, decided on all of them: a link has two ends, and each knows only its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pyinfra import logger
from pyinfra.api import Host, operation

from roles.lib.board import LINKS_NARROWED, LINKS_PROVEN, board
from roles.lib.finding import Finding
from roles.lib.paths import paths
from roles.lib.remote import Commands, current, later, look
from roles.lib.stop import Failed
from roles.link_proof import record, speed
from roles.link_proof.eyes import Eyes
from roles.link_proof.facts import Claim, Claims, Sight, Sights
from roles.link_proof.judge import judge
from roles.link_proof.plan import SAFE_MTU, Links, Pair, Proof, Wire
from roles.link_proof.sizes import PATH_MTU
from roles.network.operations import links_up
from roles.network.plan import narrowed

CLAIMS = "addresses of others"
SIGHTS = "links seen"
PROOFS = "links to prove"
SPEEDS = "links measured"


def _open(host: Host, proof: Proof, again: bool) -> tuple[Wire, ...]:
    """What has to be proven in this run. again: everything, whatever was proven before."""
    return proof.wires if again else record.open_wires(proof, _records(host))


def _records(host: Host) -> record.Records:
    return {node: record.parse(lines) for node, lines in board(host.state, LINKS_PROVEN).items()}


@operation()
def addresses_asked(proof: Proof, again: bool) -> Commands:
    """Whether somebody on the wire has an address that the node is about to get; and what is known of its links."""
    host = current()
    wires = _open(host, proof, again)
    if wires:
        board(host.state, CLAIMS)[host.name] = look(host, Claims, wires=wires)
    narrow = {} if again else record.narrowed(proof, _records(host))
    board(host.state, LINKS_NARROWED)[host.name] = narrow
    host.noop(f"{len(wires)} links are to be proven")
    yield from ()


@operation()
def addresses_free(proof: Proof) -> Commands:
    """Raises Failed with every planned address that a stranger has; no link of any node has been touched then."""
    host = current()
    claims: dict[str, Claim] = board(host.state, CLAIMS)
    if found := strangers(claims):
        raise Failed("\n".join(found))
    host.noop(f"nobody else has the {len(proof.wires)} addresses")
    yield from ()


def strangers(claims: dict[str, Claim]) -> list[str]:
    """Pure: addresses that others have than the nodes of this run, from which network takes what is no more theirs."""
    ours = {mac for claim in claims.values() for mac in claim.macs}
    return [
        str(
            Finding(
                "address in use",
                "stop",
                node,
                f"{address} is on the wire of {interface} already: {mac}",
                "free",
                "find who has that MAC and give it another address, or change links_range or subnet in lab.yml",
            )
        )
        for node, claim in sorted(claims.items())
        for interface, address, mac in claim.taken
        if mac not in ours
    ]


@operation()
def looked_at(proof: Proof, again: bool) -> Commands:
    """Collects what the links are like, where one of them has to be proven."""
    host = current()
    wires = _open(host, proof, again)
    if host.state.is_executing and wires:
        asked = replace(proof, wires=wires)
        board(host.state, PROOFS)[host.name] = asked
        board(host.state, SIGHTS)[host.name] = look(host, Sights, proof=asked)
    host.noop("looked at the links")
    yield from ()


@operation()
def measured(pairs: tuple[Pair, ...], port: int) -> Commands:
    """The first node by name measures for all; the others wait. Only what a serve uses, and both ends answer."""
    host = current()
    sights: dict[str, Sight] = board(host.state, SIGHTS)
    if host.state.is_executing and host.name == min(sights, default=""):
        hosts = {other.name: other for other in host.state.inventory.get_active_hosts()}
        asked = [pair for pair in pairs if pair.used and _answers(sights, pair)]  # a link that is not new has none
        seconds = speed.SECONDS_VIRTUAL if board(host.state, PROOFS)[host.name].virtual else speed.SECONDS
        _speeds(host).update(speed.measure(hosts, sights, asked, port, seconds))
    host.noop("measured what is new")
    yield from ()


def _speeds(host: Host) -> dict[Pair, speed.Speed]:
    """Of the whole run."""
    found: dict[Pair, speed.Speed] = board(host.state, SPEEDS).setdefault("of all", {})
    return found


def _answers(sights: dict[str, Sight], pair: Pair) -> bool:
    sight = sights.get(pair.sender.node)
    answer = sight.answers.get((pair.sender.interface, pair.receiver.address)) if sight else None
    return answer is not None and bool(answer.times)


@operation()
def proven(links: Links, again: bool) -> Commands:
    """What a serve uses works, or Failed is raised; where only large packets do not get through, the link is narrowed.
    What was proven is written down."""
    host, proof = current(), links.proof
    wires = _open(host, proof, again)
    findings = _findings(host) if host.state.is_executing else []
    if against := stops(board(host.state, PROOFS), findings):  # also on nodes whose own links are well
        raise Failed("\n".join(sorted(map(str, against))))
    if not wires:
        host.noop(f"{len(proof.wires)} links are proven")
        return
    if not host.state.is_executing:
        yield later()
        return
    narrow = narrow_now(wires, findings)
    for finding in findings:
        if finding.node == host.name:
            now = f"; it has {SAFE_MTU} now, and is tried again by --data prove=yes" if narrows(finding) else ""
            host.log_styled(f"{finding}{now}", fg="yellow", log_func=logger.warning)
    if narrow:
        # Not by the board: other nodes are judging at this moment, by what the run began with.
        yield from links_up._inner(network=narrowed(links.network, narrow))
    broken = {finding.rule.partition(": ")[0] for finding in findings if _breaks(finding)}
    seen: Sight = board(host.state, SIGHTS)[host.name]
    known = {each.digest: each for each in seen.proven}
    fresh = {
        wire.digest: record.Proven(
            wire.digest, wire.interface, narrow.get(wire.interface, _mtu(wire, host)), _gbit(host, wire)
        )
        for wire in wires
        if wire.link not in broken
    }
    planned = [wire.digest for wire in proof.wires]
    kept = known | fresh
    yield from paths._inner((record.file(kept[digest] for digest in planned if digest in kept),))


def _findings(host: Host) -> list[Finding]:
    """Of all the nodes that have looked; the same on each of them."""
    proofs, sights = board(host.state, PROOFS), board(host.state, SIGHTS)
    found = judge(Eyes(proofs, sights, board(host.state, LINKS_NARROWED)))
    return [*found, *speed.judge(proofs, sights, _speeds(host))]


def _mtu(wire: Wire, host: Host) -> int:
    """What the run began with."""
    begun: dict[str, int] = board(host.state, LINKS_NARROWED).get(host.name, {})
    return begun.get(wire.interface, wire.mtu)


def _gbit(host: Host, wire: Wire) -> float:
    found = [
        result.least
        for pair, result in _speeds(host).items()
        if pair.link == wire.link and host.name in (pair.sender.node, pair.receiver.node)
    ]
    return round(min(found, default=0), 1)


def _breaks(finding: Finding) -> bool:
    """Whether the link does not do what it is planned for; one that is narrowed does."""
    return finding.severity == "stop" and not narrows(finding)


def narrows(finding: Finding) -> bool:
    return finding.rule.endswith(f": {PATH_MTU}")


def stops(proofs: Mapping[str, Proof], findings: Iterable[Finding]) -> list[Finding]:
    """Pure: what must stop the run: it is about a link that a serve uses, or a way. A link that nothing uses is named
    only, and looked at again by the next run."""
    idle = {wire.link for proof in proofs.values() for wire in proof.wires if not wire.used}
    return [finding for finding in findings if _breaks(finding) and finding.rule.partition(": ")[0] not in idle]


def narrow_now(wires: Iterable[Wire], findings: Iterable[Finding]) -> dict[str, int]:
    """Pure: the interfaces whose links do not pass what is planned, seen from any of their ends."""
    found = list(findings)
    links = {finding.rule.partition(": ")[0] for finding in found if narrows(finding)}
    links -= {finding.rule.partition(": ")[0] for finding in found if _breaks(finding)}
    return {wire.interface: SAFE_MTU for wire in wires if wire.link in links}
