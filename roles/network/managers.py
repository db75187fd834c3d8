"""The two programs that keep a host's interfaces, and how each is told of our links.

systemd.network(5); nm-settings-keyfile(5) and NetworkManager.conf(5). Which of them it is, is a capability of the host.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from roles.lib.paths import File
from roles.lib.render import render
from roles.network.plan import Network

NETWORKD, NETWORK_MANAGER = "networkd", "NetworkManager"

CONF = "/etc/NetworkManager/conf.d/90-halofleet.conf"
SYSCTL = "/etc/sysctl.d/90-halofleet-links.conf"


@dataclass(frozen=True)
class Manager:
    """prefix, suffix: of the path of a link's file, around the interface. reload, up, status: commands; up and status
    with {dev} for the interface."""

    prefix: str
    suffix: str
    mode: str
    template: str
    reload: str
    up: str
    status: str


MANAGERS = {
    # 05: the first file that matches counts, and netplan and cloud-init write 10-netplan-* and 10-cloud-init-*.
    NETWORKD: Manager(
        prefix="/etc/systemd/network/05-halofleet-",
        suffix=".network",
        mode="644",
        template="network/link.network.j2",
        # Not networkctl: under Debian's SELinux policy networkd may not answer it over D-Bus, and it gives up after
        # 25 s. A file that is newer than networkd's reading of it makes networkd configure its interface again.
        reload="systemctl reload systemd-networkd",
        up="touch -c /etc/systemd/network/05-halofleet-{dev}.network && systemctl reload systemd-networkd",
        status="networkctl status {dev}",
    ),
    # It reads no keyfile that others than root can read.
    NETWORK_MANAGER: Manager(
        prefix="/etc/NetworkManager/system-connections/halofleet-",
        suffix=".nmconnection",
        mode="600",
        template="network/link.nmconnection.j2",
        reload="nmcli general reload conf && nmcli connection reload",
        up="nmcli --wait 10 connection up halofleet-{dev}",
        status="nmcli device show {dev}",
    ),
}

PATTERNS = (
    *(f"{manager.prefix}*{manager.suffix}" for manager in MANAGERS.values()),
    "/etc/systemd/network/30-halofleet-*.network",  # the prefix of halofleet's first days
    CONF,
    SYSCTL,
)
"""Whatever of these is not wanted goes: links that left the inventory, and all of the other manager's."""


def files(network: Network, name: str, active: Iterable[str]) -> tuple[File, ...]:
    """What the host must have. name: of the manager that keeps the links. active: of those that run."""
    manager = MANAGERS[name]
    found = [
        File(
            f"{manager.prefix}{interface.name}{manager.suffix}",
            render(manager.template, interface=interface, uuid=_uuid(interface.name)),
            manager.mode,
        )
        for interface in network.interfaces
    ]
    links = [interface for interface in network.interfaces if interface.name != "lo"]
    if NETWORK_MANAGER in active and links:
        ours = name == NETWORK_MANAGER
        found.append(File(CONF, render("network/NetworkManager.conf.j2", links=links, ours=ours)))
    if name == NETWORK_MANAGER and links:
        found.append(File(SYSCTL, render("network/sysctl.conf.j2", links=links)))
    return tuple(found)


def _uuid(interface: str) -> str:
    """NetworkManager tells profiles apart by it; the same on every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"halofleet:link:{interface}"))


def detect(address: str) -> str:
    """Shell: a line `active NAME` for each manager that runs, and `manager NAME` for the one that keeps the links;
    without that one the host has none. address: where SSH reaches the node.

    Where both run, it is the one that has the interface that SSH comes in by.
    """
    pattern = address.replace(".", "[.]")
    return (
        "nm=; nd=; if systemctl is-active --quiet NetworkManager; then nm=yes; echo active NetworkManager; fi; "
        "if systemctl is-active --quiet systemd-networkd; then nd=yes; echo active networkd; fi; "
        'case "$nm+$nd" in yes+yes) '
        f"dev=$(ip -o -4 address | awk '$4 ~ \"^{pattern}/\" {{print $2; exit}}'); "
        # an address that is on no interface is translated on its way: then the way out is the way in
        'if [ -z "$dev" ]; then dev=$(ip -4 route show default | '
        "sed -nE 's/.* dev ([^ ]+).*/\\1/p' | head -n 1); fi; "
        # what another program has set up is `connected (externally)` or `unmanaged`
        'if LC_ALL=C nmcli -t -f DEVICE,STATE device | grep -qx "$dev:connected"; then echo manager NetworkManager; '
        "else echo manager networkd; fi ;; "
        "yes+) echo manager NetworkManager ;; +yes) echo manager networkd ;; "
        # installed and not in use (ifupdown): it keeps our links only
        "*) case $(systemctl is-enabled systemd-networkd 2>/dev/null) in enabled* | disabled) echo manager networkd ;; "
        "esac ;; esac; "
    )


def way_in(address: str, key: str) -> str:
    """Shell: lines `KEY INTERFACE`; the last of them is the interface that SSH comes in by. address: where SSH reaches
    the node."""
    pattern = address.replace(".", "[.]")
    return (
        # an address that is on no interface is translated on its way: then the way out is the way in
        f"ip -4 route show default | sed -nE 's/.* dev ([^ ]+).*/{key} \\1/p' | head -n 1; "
        f'ip -o -4 address | awk \'$4 ~ "^{pattern}/" {{print "{key} " $2}}\'; '
    )
