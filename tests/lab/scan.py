"""Who gets through to which port, seen from every node and from this machine, IPv4 and IPv6."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from inventory.spec import load
from tests.lab.harness import Lab

# Needs python3 on the host. On every address: nothing but the firewall keeps anybody out.
LISTEN = """\
cat >/run/listen.py <<'END'
import json, socket, subprocess, time
mine = json.loads(subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, text=True).stdout)
addresses = [info["local"] for item in mine if item for info in item["addr_info"]]
kept = []
for family, address in [(socket.AF_INET6, "::"), *((socket.AF_INET, address) for address in addresses)]:
    for port in PORTS:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after the server's connections
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(64)
        kept.append(listener)
open("/run/listen.ready", "w").close()
time.sleep(9999)
END
systemctl stop listen 2>/dev/null
rm -f /run/listen.ready
systemd-run --quiet --unit=listen --collect python3 /run/listen.py
for try in $(seq 100); do if [ -e /run/listen.ready ]; then exit 0; fi; sleep 0.2; done
journalctl -n 20 -u listen >&2
exit 1
"""
KNOCK = """\
knock() { timeout 3 bash -c '</dev/tcp/$0/$1' "$1" "$2" 2>/dev/null && echo "$1 $2"; }
while read -r address port; do knock "$address" "$port" & done <<'END'
TARGETS
END
wait
"""


def listen(lab: Lab, node: str, ports: tuple[int, ...]) -> None:
    """Something takes every connection to these ports, in the place of the servers, until `listen` is stopped."""
    lab.ssh(node, LISTEN.replace("PORTS", repr(ports)))


def opens(address: str, port: int) -> bool:
    """From this machine."""
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


def scan(lab: Lab, ports: tuple[int, ...], nodes: Iterable[str] | None = None) -> set[tuple[str, str, str, int]]:
    """Who gets through: from, to, the address, the port. Every node knocks at every address of the others, IPv4 and
    IPv6 (link-local, over every wire that the two share); this machine at those of the management network.

    nodes: those that are knocked at; all without."""
    asked = set(lab.addresses if nodes is None else nodes)
    seen = {node: json.loads(lab.ssh(node, "ip -j address")) for node in lab.addresses}
    own = {node: {item["ifname"]: item["addr_info"] for item in items if item} for node, items in seen.items()}
    wires = [dict.fromkeys(lab.addresses, "host0")]
    wires += [{end.node: end.interface for end in link.ends} for link in load(lab.yml).links]

    def knock(caller: str) -> set[tuple[str, str, str, int]]:
        names: dict[str, str] = {}
        for other in asked - {caller}:
            every = [info for infos in own[other].values() for info in infos]
            names |= {info["local"]: other for info in every if info["family"] == "inet" and info["scope"] == "global"}
            for wire in wires:
                if caller in wire and other in wire:
                    local = [info["local"] for info in own[other][wire[other]] if info["scope"] == "link"]
                    names |= {f"{address}%{wire[caller]}": other for address in local}
        targets = "\n".join(f"{address} {port}" for address in names for port in ports)
        opened = [line.split() for line in lab.ssh(caller, KNOCK.replace("TARGETS", targets)).splitlines()]
        return {(caller, names[address], address, int(port)) for address, port in opened}

    with ThreadPoolExecutor() as pool:
        found = set().union(*pool.map(knock, lab.addresses))
    return found | {
        ("here", other, address, port)
        for other in asked
        for address in [lab.addresses[other]]
        for port in ports
        if opens(address, port)
    }
