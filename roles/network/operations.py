"""The host's network manager takes up the files of the links."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from pyinfra.api import Host, StringCommand, operation

from roles.lib.board import LINKS_NARROWED, board
from roles.lib.paths import paths
from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed
from roles.lib.tentative import tentative
from roles.network.facts import MARKER, Device, Links, LinkStates, SeenRoute
from roles.network.managers import MANAGERS, NETWORK_MANAGER, NETWORKD, PATTERNS, SYSCTL, Manager, files
from roles.network.plan import Interface, Network, narrowed
from roles.network.put_back import change

WAIT = (
    "for try in $(seq 50); do if {check}; then exit 0; fi; sleep 0.2; done; "
    "echo interface {dev} has not got {what} after 10 s: {status} >&2; exit 1"
)
MTU = "ip -o link show dev {dev} | grep -qF ' mtu {mtu} '"
FORWARDING = "grep -qx 1 /proc/sys/net/ipv4/conf/{dev}/forwarding"
ADDRESS = "ip -4 -o address show dev {dev} | grep -qF {address}"
ROUTE = "ip -4 route show {destination} | grep -qF 'via {gateway} dev {dev}'"

# The manager may have taken it away at the reload.
NO_ADDRESS = f"ip address delete {{address}} dev {{dev}} 2>/dev/null || ! {ADDRESS}"
NO_ROUTE = "ip route delete {destination} via {gateway} dev {dev} 2>/dev/null || ! " + ROUTE


@operation()
def links_up(network: Network) -> Commands:
    """Every link has its file, and the planned address, MTU and routes and no other; only those that differ are
    touched."""
    host = current()
    network = narrowed(network, board(host.state, LINKS_NARROWED).get(host.name, {}))
    now = look(host, LinkStates, address=str(network.management))
    if not now.manager:
        raise Failed(
            f"{host.name}: neither systemd-networkd nor NetworkManager is there to keep the links. "
            "Install one of them and start it"
        )
    yield from tentative(host, change(network), _changes(host, network, now), pending=now.pending)


def _changes(host: Host, network: Network, now: Links) -> Commands:
    wrote = False
    wanted = files(network, now.manager, now.active)
    for write in paths._inner(wanted, PATTERNS):
        wrote = True
        yield write
    if wrote:
        now = look(host, LinkStates, address=str(network.management))
    starts = now.manager != NETWORKD or (now.starts and NETWORKD in now.active)
    strays = list(stray(network, now))
    missing = absent(network, now)
    for interface in missing:
        host.log(f"{interface.name} is not there yet ({interface.purpose}); what it gets when it comes is written")
    changed = [
        interface
        for interface in network.interfaces
        if interface not in missing and differs(interface, now, network.links_range)
    ]
    if starts and not (wrote or changed or strays or now.unread or forgotten(network, now)):
        host.noop(f"{len(network.interfaces) - len(missing)} links are as planned")
        return
    if not starts:
        yield StringCommand("systemctl enable --now --quiet systemd-networkd")
    for name in sorted({now.manager, *now.active}):  # the other one lets go of what was its own
        yield StringCommand(MANAGERS[name].reload)
    if now.manager == NETWORK_MANAGER and len(network.interfaces):
        yield StringCommand("sysctl -q -e -p", SYSCTL)
    for command in strays:
        yield StringCommand(command)
    manager = MANAGERS[now.manager]
    for interface in changed:
        yield StringCommand(manager.up.format(dev=shlex.quote(interface.name)))
        yield StringCommand(wait(interface, manager))
    yield StringCommand("touch", MARKER)


def absent(network: Network, now: Links) -> list[Interface]:
    """Pure: a USB4 interface comes with the peer, and the manager's file is there before it."""
    return [interface for interface in network.interfaces if interface.name not in now.there]


def forgotten(network: Network, now: Links) -> bool:
    """Pure: whether NetworkManager still has a profile of a link that is not its own."""
    own = {interface.name for interface in network.interfaces} if now.manager == NETWORK_MANAGER else set()
    return not set(now.profiles) <= own


def wait(interface: Interface, manager: Manager) -> str:
    """Pure: the command that ends when the interface has what the plan gives it."""
    dev, what = shlex.quote(interface.name), f"address {interface.address}"
    checks = [ADDRESS.format(dev=dev, address=interface.address)]
    if interface.mtu is not None:
        checks.append(MTU.format(dev=dev, mtu=interface.mtu))
        what += f" mtu {interface.mtu}"
    if interface.forwards:
        checks.append(FORWARDING.format(dev=dev))
        what += " forwarding"
    for route in interface.routes:
        checks.append(ROUTE.format(dev=dev, destination=route.destination, gateway=route.via))
        what += f" route {route.destination}"
    return WAIT.format(check=" && ".join(checks), dev=dev, what=what, status=manager.status.format(dev=dev))


def differs(interface: Interface, now: Links, links_range: IPv4Network) -> bool:
    """Pure: whether the manager has to look at this link again."""
    seen = now.devices.get(interface.name, Device())
    manager = MANAGERS[now.manager]
    if f"{manager.prefix}{interface.name}{manager.suffix}" in now.unread:
        return True
    if now.manager == NETWORK_MANAGER and now.profiles.get(interface.name) != interface.name:
        return True  # it may look right and be another program's
    if interface.name == "lo":  # it has 127.0.0.1 too, and is nobody's to forward from
        return interface.address not in seen.addresses
    wanted = {(str(route.destination), str(route.via), str(route.source or "")) for route in interface.routes}
    return (
        seen.addresses != (interface.address,)
        or seen.mtu != interface.mtu
        or _ours(seen, links_range) != wanted
        # One that need not forward may: another program switched it on, and our firewall lets nothing through.
        or (interface.forwards and not seen.forwards)
    )


def stray(network: Network, now: Links) -> Iterator[str]:
    """Pure: what takes away the addresses and routes of ours that are on an interface that should not have them."""
    planned = {interface.name: interface.address for interface in network.interfaces}
    for name, device in now.devices.items():
        dev = shlex.quote(name)
        if name not in planned:
            for destination, gateway, _ in sorted(_ours(device, network.links_range)):
                yield NO_ROUTE.format(destination=destination, gateway=gateway, dev=dev)
        if name not in planned or name == "lo":
            for address in device.addresses:
                if address != planned.get(name) and _was_ours(address, name, network):
                    yield NO_ADDRESS.format(dev=dev, address=address)


def _was_ours(address: str, interface: str, network: Network) -> bool:
    """A cable's /31, our /32 on lo, or what another interface should have. Others' addresses have other shapes."""
    found = IPv4Interface(address)
    shape = 32 if interface == "lo" else 31
    inside = found.ip in network.links_range and found.network.prefixlen == shape
    return inside or address in {planned.address for planned in network.interfaces}


def _ours(device: Device, links_range: IPv4Network) -> set[SeenRoute]:
    """Routes to loopback addresses of the lab."""
    return {
        route
        for route in device.routes
        if "/" not in route[0] and route[0] != "default" and IPv4Address(route[0]) in links_range
    }
