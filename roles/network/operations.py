"""networkd takes up the files of the links."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from pyinfra.api import QuoteString, StringCommand, operation

from roles.lib.remote import Commands, current, look
from roles.network.facts import Device, Links, LinkStates, Way
from roles.network.plan import MARKER, Interface, Network

WAIT = (
    "for try in $(seq 50); do if {check}; then exit 0; fi; sleep 0.2; done; "
    "echo interface {dev} has not got {what} after 10 s: networkctl status {dev} >&2; exit 1"
)
MTU = "ip -o link show dev {dev} | grep -qF ' mtu {mtu} '"
FORWARDING = "grep -qx {on:d} /proc/sys/net/ipv4/conf/{dev}/forwarding"
ADDRESS = "ip -4 -o address show dev {dev} | grep -qF {address}"
ROUTE = "ip -4 route show {destination} | grep -qF 'via {gateway} dev {dev}'"

# networkd may have taken it away at the reload.
NO_ADDRESS = f"ip address delete {{address}} dev {{dev}} 2>/dev/null || ! {ADDRESS}"
NO_ROUTE = "ip route delete {destination} via {gateway} dev {dev} 2>/dev/null || ! " + ROUTE


@operation()
def links_up(network: Network) -> Commands:
    """Every link has the planned address, MTU and routes and no other; only those that differ are touched."""
    host = current()
    now = look(host, LinkStates)
    strays = list(stray(network, now))
    changed = [interface for interface in network.interfaces if differs(interface, now, network.ranges)]
    if now.networkd and not changed and not strays:
        host.noop(f"{len(network.interfaces)} links are as planned")
        return
    if not now.networkd:
        yield StringCommand("systemctl enable --now --quiet systemd-networkd")
    yield StringCommand("networkctl reload")
    for command in strays:
        yield StringCommand(command)
    for interface in changed:
        yield StringCommand("networkctl reconfigure", QuoteString(interface.name))
        yield StringCommand(wait(interface))
    yield StringCommand("touch", MARKER)


def wait(interface: Interface) -> str:
    """Pure: the command that ends when the interface has all that `differs` looks at."""
    dev, what = shlex.quote(interface.name), f"address {interface.address}"
    checks = [ADDRESS.format(dev=dev, address=interface.address)]
    if interface.mtu is not None:
        checks += [MTU.format(dev=dev, mtu=interface.mtu), FORWARDING.format(dev=dev, on=interface.forwards)]
        what += f" mtu {interface.mtu} forwarding {interface.forwards:d}"
    for route in interface.routes:
        checks.append(ROUTE.format(dev=dev, destination=route.destination, gateway=route.via))
        what += f" route {route.destination}"
    return WAIT.format(check=" && ".join(checks), dev=dev, what=what)


def differs(interface: Interface, now: Links, ranges: tuple[IPv4Network, ...]) -> bool:
    """Pure: whether networkd has to look at this link again."""
    seen = now.devices.get(interface.name, Device())
    if interface.name in now.unread:
        return True
    if interface.name == "lo":  # it has 127.0.0.1 too, and is nobody's to forward from
        return interface.address not in seen.addresses
    wanted = {(str(route.destination), str(route.via), str(route.source or "")) for route in interface.routes}
    return (
        seen.addresses != (interface.address,)
        or seen.mtu != interface.mtu
        or _ours(seen, ranges) != wanted
        or seen.forwards != interface.forwards
    )


def stray(network: Network, now: Links) -> Iterator[str]:
    """Pure: what takes away the addresses and routes of the lab's ranges that are on no planned interface."""
    planned = {interface.name: interface.address for interface in network.interfaces}
    for name, device in now.devices.items():
        dev = shlex.quote(name)
        if name not in planned:
            for destination, gateway, _ in sorted(_ours(device, network.ranges)):
                yield NO_ROUTE.format(destination=destination, gateway=gateway, dev=dev)
        if name not in planned or name == "lo":
            for address in device.addresses:
                if address != planned.get(name) and _inside(IPv4Interface(address).ip, network.ranges):
                    yield NO_ADDRESS.format(dev=dev, address=address)


def _ours(device: Device, ranges: tuple[IPv4Network, ...]) -> set[Way]:
    return {
        route
        for route in device.routes
        if "/" not in route[0] and route[0] != "default" and _inside(IPv4Address(route[0]), ranges)
    }


def _inside(address: IPv4Address, ranges: tuple[IPv4Network, ...]) -> bool:
    return any(address in net for net in ranges)
