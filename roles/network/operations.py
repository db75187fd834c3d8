"""networkd takes up the files of the links."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand, operation

from roles.lib.remote import Commands, current, look
from roles.network.facts import LinkStates
from roles.network.plan import Network

WAIT = (
    "for try in $(seq 50); do "
    "if ip -4 -o address show dev {dev} | grep -qF {address}; then exit 0; fi; sleep 0.2; done; "
    "echo interface {dev} has no address {address} after 10 s: networkctl status {dev} >&2; exit 1"
)


@operation()
def links_up(network: Network) -> Commands:
    """Every link has the address of the plan and no other; only the links that differ are touched."""
    host = current()
    now = look(host, LinkStates)
    stale = [end for end in network.ends if now.addresses.get(end.interface) != (str(end.address),)]
    if now.networkd and not stale:
        host.noop(f"{len(network.ends)} links have their addresses")
        return
    if not now.networkd:
        yield StringCommand("systemctl enable --now --quiet systemd-networkd")
    if stale:
        yield StringCommand("networkctl reload")
    for end in stale:
        yield StringCommand("networkctl reconfigure", QuoteString(end.interface))
        yield StringCommand(WAIT.format(dev=end.interface, address=f"{end.address}"))
