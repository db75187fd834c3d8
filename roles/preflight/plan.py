"""What must be true of a node before anything is changed on any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from inventory.spec import Lab
from roles.doctor import judge as doctor
from roles.doctor.patient import Expected as Box
from roles.firewall.broken import fix as fix_firewall
from roles.lib.finding import Finding
from roles.llama_cpp.plan import Release, arch_of
from roles.llama_cpp.plan import plan as release_plan
from roles.models import fit
from roles.models.plan import Model
from roles.models.plan import plan as models_plan
from roles.network.managers import NETWORKD
from roles.network.ports import Port, Seen, meant, needs_module, ports
from roles.preflight import way as ways

LOCK_FIX = "wait for it to end; when its machine is gone, its lock is too, a minute later"

FREE_MIB = 512
"""For a release, logs and unit files, below /var/lib."""

FREE_TO_BUILD_MIB = 4096
"""For the source and the build tree too (0.9 GiB for the CPU backend, measured at 0c1e57098)."""


FORWARDS_FROM = 256
"""The systemd whose networkd forwards by interface (systemd.network(5), IPv4Forwarding=)."""


@dataclass(frozen=True)
class Expected:
    """address: where SSH reaches the node; releases: what it will run, and may have to build."""

    node: str
    address: IPv4Address
    releases: tuple[Release, ...]
    os: str
    arch: str
    interfaces: tuple[str, ...]
    """Those that lab.yml calls by their own names, so that they have to be there."""
    ports: tuple[Port, ...] = ()
    """The others: their interfaces get their names from us."""
    nodes: frozenset[str] = frozenset()
    """All of the lab."""
    module: bool = False
    """The kernel needs the one for USB4 networking."""
    forwards: bool = False
    """The node is in the middle of a way."""
    key_files: tuple[tuple[str, Path], ...] = ()
    """Keys that the user has chosen, by serve: files on the control machine."""
    models: tuple[Model, ...] = ()
    """Of the serves that this node controls."""
    needs: tuple[fit.Need, ...] = ()
    """Of the same."""
    box: Box = doctor.UNKNOWN
    """What the doctor is told of it."""
    claims: ways.Claims = ways.NO_CLAIMS


@dataclass(frozen=True)
class Snapshot:
    """os: ID-VERSION_ID; free: MiB below /var/lib; systemd: its version where PID 1 is systemd, else 0; root: the
    commands run as root."""

    os: str = ""
    arch: str = ""
    free: int = 0
    systemd: int = 0
    root: bool = False
    interfaces: frozenset[str] = frozenset()
    ssh_interface: str = ""
    """The interface that has the address at which SSH reaches the node."""
    lock: str = ""
    """Who holds the lab's lock on this node; empty where this run has it, or nobody."""
    masters: Mapping[str, str] = field(default_factory=dict)
    """Interface -> the bridge or bond that it belongs to."""
    gpu: bool = False
    """It has something that halofleet put there for a GPU (roles/gpu)."""
    manager: str = ""
    """Which program keeps the links; empty where the host has none that can."""
    broken: tuple[str, ...] = ()
    """Firewalls that are meant to run and do not, each with its state."""
    ports: tuple[Seen, ...] = ()
    """Interfaces with hardware behind them; looked at only where one is to get its name."""
    udev: bool = False
    module: bool = False
    """The kernel has USB4 networking."""
    proven: tuple[str, ...] = ()
    """The lines of its record of proven links."""
    way: ways.Way = ways.UNKNOWN


def plan(lab: Lab, name: str) -> Expected:
    named = ports(lab, name)
    own = {port.interface for port in named}
    node = lab.node(name)
    return Expected(
        node=name,
        address=node.address,
        releases=release_plan(lab, name),
        os=node.os,
        arch=arch_of(lab),
        interfaces=tuple(end.interface for end in lab.ends(name) if end.interface not in own),
        ports=named,
        nodes=frozenset(lab.nodes),
        module=needs_module(lab, name),
        forwards=bool(lab.network(name).passages),
        key_files=tuple(
            (serve_name, serve.api_key_file)
            for serve_name, serve in lab.spec.serves.items()
            if serve.controller == name and serve.api_key_file is not None
        ),
        models=models_plan(lab, name),
        needs=fit.needs(lab, name),
        box=doctor.expected(lab, name),
        claims=ways.claims(lab, name),
    )


def judge_access(expected: Expected, seen: Snapshot) -> list[Finding]:
    """Pure: whether this run may change the node at all."""
    if not seen.root:
        fix = "ssh.user: root, or a user with sudo without password"
        return [Finding("commands run as root", "stop", expected.node, "they do not", "root", fix)]
    if seen.lock:
        return [
            Finding("one run at a time", "stop", expected.node, f"held by {seen.lock}", "no other run", LOCK_FIX),
        ]
    return []


def judge(expected: Expected, seen: Snapshot, *, builds: bool) -> list[Finding]:
    """Pure: everything that would stop the run. builds: this node will have to compile the release."""

    def stop(rule: str, found: str, wanted: str, fix: str) -> Finding:
        return Finding(rule, "stop", expected.node, found, wanted, fix)

    found = judge_access(expected, seen)
    if not seen.root:
        return found  # nothing else could be seen
    if seen.os != expected.os:
        found.append(stop("os", seen.os or "unknown", expected.os, f"write nodes.{expected.node}.os: {seen.os}"))
    if seen.arch != expected.arch:
        found.append(stop("architecture", seen.arch, expected.arch, "this box cannot run the lab's builds"))
    if not seen.systemd:
        found.append(stop("PID 1", "not systemd", "systemd", "halofleet's services are systemd units"))
    elif expected.forwards and seen.manager == NETWORKD and seen.systemd < FORWARDS_FROM:
        fix = "let a node with a newer system be in the middle, or add a cable past this one"
        found.append(stop("systemd of a node in the middle", str(seen.systemd), f"{FORWARDS_FROM} or newer", fix))
    if (expected.interfaces or expected.ports) and seen.systemd and not seen.manager:
        fix = "systemctl enable --now NetworkManager, or systemd-networkd"
        found.append(stop("network manager", "none", "systemd-networkd or NetworkManager", fix))
    for firewall in seen.broken:
        found.append(stop("firewall", firewall, "one that runs, or none", fix_firewall(firewall)))
    needed = FREE_TO_BUILD_MIB if builds else FREE_MIB
    if seen.free < needed:
        found.append(stop("free space in /var/lib", f"{seen.free} MiB", f"{needed} MiB", "make room"))
    for interface in expected.interfaces:
        if interface not in seen.interfaces:
            fix = f"plug the cable in, or correct the name in links; ip link on {expected.node} shows what there is"
            found.append(stop(f"interface {interface}", "not there", "there", fix))
        elif interface in seen.masters:
            fix = "name a port that is the link's alone"
            found.append(stop(f"interface {interface}", f"part of {seen.masters[interface]}", "a port of its own", fix))
        elif interface == seen.ssh_interface:
            fix = "name the interface that the cable is plugged into"
            found.append(stop(f"interface {interface}", "SSH comes in over it", "a dedicated link", fix))
    # Those at ports have names of their own still; they will be renamed, and on older systemd taken down for it.
    at_ports = [one.name for port in expected.ports for one in meant(port, seen.ports)]
    links = (*expected.interfaces, *at_ports)
    found += ways.judge(expected.node, expected.claims, links, seen.ssh_interface, seen.way)
    return found
