"""networkd takes up the files of the links."""

from __future__ import annotations

import shlex
from ipaddress import IPv4Interface

from pyinfra.api import QuoteString, StringCommand, operation

from inventory.spec import LinkEnd
from roles.lib.remote import Commands, current, look
from roles.network.facts import Links, LinkStates
from roles.network.plan import MARKER, Network

WAIT = (
    "for try in $(seq 50); do "
    "if ip -4 -o address show dev {dev} | grep -qF {address}; then exit 0; fi; sleep 0.2; done; "
    "echo interface {dev} has no address {address} after 10 s: networkctl status {dev} >&2; exit 1"
)


# networkd may have taken it away at the reload.
GONE = "ip address delete {address} dev {dev} 2>/dev/null || ! ip -4 -o address show dev {dev} | grep -qF {address}"


@operation()
def links_up(network: Network) -> Commands:
    """Every link has the address of the plan and no other; only the links that differ are touched."""
    host = current()
    now = look(host, LinkStates)
    strays = stray(network, now)
    ends = [end for end in network.ends if differs(end, now)]
    if now.networkd and not ends and not strays:
        host.noop(f"{len(network.ends)} links have their addresses")
        return
    if not now.networkd:
        yield StringCommand("systemctl enable --now --quiet systemd-networkd")
    yield StringCommand("networkctl reload")
    for interface, address in strays:
        yield StringCommand(GONE.format(dev=shlex.quote(interface), address=shlex.quote(address)))
    for end in ends:
        yield StringCommand("networkctl reconfigure", QuoteString(end.interface))
        yield StringCommand(WAIT.format(dev=end.interface, address=f"{end.address}"))
    yield StringCommand("touch", MARKER)


def differs(end: LinkEnd, now: Links) -> bool:
    """Pure: whether networkd has to look at this link again."""
    return end.interface in now.unread or now.addresses.get(end.interface) != (str(end.address),)


def stray(network: Network, now: Links) -> list[tuple[str, str]]:
    """Pure: (interface, address) of the lab's links range on interfaces that are no link of this node any more."""
    ours = {end.interface for end in network.ends}
    return [
        (interface, address)
        for interface, addresses in now.addresses.items()
        for address in addresses
        if interface not in ours and IPv4Interface(address).ip in network.links_range
    ]
