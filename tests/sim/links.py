"""What the network role sends, by the manager that the host has, and what it leaves on disk."""

from __future__ import annotations

MARKER = "/run/halofleet-network.loaded"
CONF = "/etc/NetworkManager/conf.d/90-halofleet.conf"
SYSCTL = "/etc/sysctl.d/90-halofleet-links.conf"
FILES = {
    "networkd": "/etc/systemd/network/05-halofleet-{}.network",
    "NetworkManager": "/etc/NetworkManager/system-connections/halofleet-{}.nmconnection",
}
MODES = {"networkd": "644", "NetworkManager": "600"}
UP = {"networkd": "networkctl reconfigure {}", "NetworkManager": "nmcli --wait 10 connection up halofleet-{}"}
STATUS = {"networkd": "networkctl status", "NetworkManager": "nmcli device show"}
RELOAD = {
    "networkd": ["networkctl reload"],
    "NetworkManager": ["nmcli general reload conf && nmcli connection reload", f"sysctl -q -e -p {SYSCTL}"],
}


def manager(flavour: str) -> str:
    return "NetworkManager" if flavour == "fedora" else "networkd"


def file(flavour: str, interface: str) -> str:
    return FILES[manager(flavour)].format(interface)


def written(flavour: str, *interfaces: str, others: bool = True) -> list[str]:
    """others: the files that go with NetworkManager's are written too."""
    kind = manager(flavour)
    found = [f"write {file(flavour, interface)} {MODES[kind]} root:root" for interface in interfaces]
    both = [f"write {path} 644 root:root" for path in (CONF, SYSCTL)]
    return found + (both if others and kind == "NetworkManager" else [])


def up(
    device: str,
    address: str,
    *routes: tuple[str, str],
    mtu: int = 1500,
    forwards: bool = False,
    flavour: str = "debian",
) -> list[str]:
    """routes: destination and gateway."""
    kind = manager(flavour)
    checks, what = [f"ip -4 -o address show dev {device} | grep -qF {address}"], [f"address {address}"]
    if device != "lo":
        checks.append(f"ip -o link show dev {device} | grep -qF ' mtu {mtu} '")
        checks += [f"grep -qx 1 /proc/sys/net/ipv4/conf/{device}/forwarding"] if forwards else []
        what.append(f"mtu {mtu} forwarding" if forwards else f"mtu {mtu}")
    checks += [f"ip -4 route show {to} | grep -qF 'via {gateway} dev {device}'" for to, gateway in routes]
    what += [f"route {to}" for to, _ in routes]
    return [
        UP[kind].format(device),
        f"for try in $(seq 50); do if {' && '.join(checks)}; then exit 0; fi; sleep 0.2; done; "
        f"echo interface {device} has not got {' '.join(what)} after 10 s: {STATUS[kind]} {device} >&2; exit 1",
    ]


def reload(*commands: str, flavour: str = "debian") -> list[str]:
    return [*RELOAD[manager(flavour)], *commands, f"touch {MARKER}"]
