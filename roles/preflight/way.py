"""The way that SSH comes by, and what of the inventory would cut it. Existing configuration is never touched; what
would take its place is refused here, before any change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from inventory.spec import Lab
from roles.firewall.plan import plan as firewall_plan
from roles.lib.finding import Finding
from roles.lib.tentative import FOLDER
from roles.network.managers import MANAGERS
from roles.network.plan import plan as network_plan

WAY = (
    # sudo forgets it, its parents do not. Of IPv4 only: nothing of ours touches IPv6.
    "p=$$; c=; while [ -z \"$c\" ] && [ \"$p\" -gt 1 ]; do c=$(tr '\\0' '\\n' 2>/dev/null </proc/$p/environ | "
    "sed -nE 's/^SSH_CLIENT=([0-9.]+) [0-9]+ ([0-9]+)$/\\1 \\2/p'); p=$(cut -d' ' -f4 /proc/$p/stat); done; "
    'if [ -n "$c" ]; then echo "sshd ${c#* }"; c=${c% *}; echo "need $c the control machine"; '
    "ip -4 route get $c | sed -nE 's/.* dev ([^ ]+).*/back \\1/p'; fi; "
    "ip -4 route show default | sed -nE 's/^default via ([0-9.]+) .*/need \\1 the default gateway/p'; "
    "ip -4 route show default | sed -nE 's/.* dev ([^ ]+).*/back \\1/p'; "
    "cat /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null | "
    "sed -nE 's/^nameserver +([0-9.]+) *$/need \\1 a DNS server/p' | sort -u; "
    "ip -o -4 address | awk '{print \"on\", $2, $4}'; "
    # a veth's other end is `@if9`
    "ip -o link | sed -nE 's/^[0-9]+: ([^:@]+)@([^:]+): .*/upper \\2 \\1/p' | grep -vE '^upper if[0-9]+ '; "
    "ip -o link | sed -nE 's/^[0-9]+: ([^:@]+).*<[^>]*NO-CARRIER.*/silent \\1/p'; "
    + "".join(
        f'for f in {manager.prefix}*{manager.suffix}; do if [ -e "$f" ]; then f=${{f#{manager.prefix}}}; '
        f'echo "ours ${{f%{manager.suffix}}}"; fi; done; '
        for manager in MANAGERS.values()
    )
    + f'for f in {FOLDER}/*/armed; do if [ -e "$f" ]; then echo armed; fi; done; '
)


@dataclass(frozen=True)
class Claims:
    """What halofleet takes for the node. ranges: fields of the inventory with their networks. addresses: interface and
    address. ports: closed to all but those whom they are for."""

    ranges: tuple[tuple[str, IPv4Network], ...] = ()
    addresses: tuple[tuple[str, IPv4Address], ...] = ()
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Way:
    """needs: addresses outside that the node must go on reaching, with what they are. back: the interfaces by which its
    answers leave. on: interfaces with their addresses. upper: interface -> one that is on top of it (a VLAN). silent:
    without a carrier. ours: with a file of halofleet's. sshd: its port. armed: a change is about to be put back."""

    needs: tuple[tuple[IPv4Address, str], ...] = ()
    back: frozenset[str] = frozenset()
    on: tuple[tuple[str, IPv4Interface], ...] = ()
    upper: tuple[tuple[str, str], ...] = ()
    silent: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    sshd: int = 0
    armed: bool = False


NO_CLAIMS, UNKNOWN = Claims(), Way()


def claims(lab: Lab, name: str) -> Claims:
    fabrics = [link for link, _ in lab.network(name).ends if link.kind == "ethernet"]
    firewall, network = firewall_plan(lab, name), network_plan(lab, name)
    subnets = [(f"subnet of {link.name}", end.address.network) for link in fabrics for end in link.ends[:1]]
    return Claims(
        (("links_range", lab.spec.links_range), *subnets),
        tuple((interface.name, IPv4Interface(interface.address).ip) for interface in network.interfaces),
        (*firewall.ports, *firewall.api_ports),
    )


def process(output: list[str]) -> Way:
    words = [line.split(" ", 2) for line in output]

    def said(key: str) -> list[list[str]]:
        return [word[1:] for word in words if word[0] == key]

    return Way(
        tuple((IPv4Address(address), what) for address, what in said("need")),
        frozenset(name for (name,) in said("back")),
        tuple((name, IPv4Interface(address)) for name, address in said("on")),
        tuple((lower, name) for lower, name in said("upper")),
        frozenset(name for (name,) in said("silent")),
        frozenset(name for (name,) in said("ours")),
        int(said("sshd")[0][0]) if said("sshd") else 0,
        ["armed"] in words,
    )


def judge(node: str, claims: Claims, ports: tuple[str, ...], by: str, way: Way) -> Iterator[Finding]:
    """Pure. ports: interfaces of the links. by: the interface that SSH comes in by."""

    def stop(rule: str, found: str, wanted: str, fix: str) -> Finding:
        return Finding(rule, "stop", node, found, wanted, fix)

    alone = "name a port that is the link's alone"
    for field, net in claims.ranges:
        texts = [f"it has {address}, {what}" for address, what in way.needs if address in net]
        texts += [
            f"it overlaps {own.network} of {name}, which SSH needs"
            for name, own in way.on
            if name in {by, *way.back} - set(ports) and own.network.overlaps(net)
        ]
        for text in texts:
            yield stop(f"{field} {net}", text, "a range of the links' own", f"write another {field} into the inventory")
    for name, address in claims.addresses:
        for device, own in way.on:
            if own.ip == address and device not in (name, *ports, *way.ours) and not way.armed:
                fix = "take it off there, or choose another range in the inventory"
                yield stop(
                    f"address {address}", f"on {device} already, which is not halofleet's", f"on {name} only", fix
                )
    for name in sorted(way.back - {by}):
        if name in ports:
            yield stop(
                f"interface {name}", "the way to the control machine or the default route", "a dedicated link", alone
            )
    for lower, name in way.upper:
        if lower in ports:
            yield stop(f"interface {lower}", f"{name} is on top of it", "a port of its own", alone)
    if way.sshd in claims.ports:
        fix = "give the serve another port"
        yield stop(f"port {way.sshd}", "sshd listens on it", "a port that halofleet may close", fix)


def unplugged(ports: tuple[str, ...], way: Way) -> list[str]:
    """The links' interfaces without a carrier: named and no reason to stop, because a peer may be down."""
    return [name for name in ports if name in way.silent]
