"""What must be true of a node before anything is changed on any."""

from __future__ import annotations

from dataclasses import dataclass

from inventory.spec import Lab
from roles.lib.finding import Finding
from roles.llama_cpp.plan import arch_of

FREE_MIB = 4096
"""For the source, the build tree (0.9 GiB for the CPU backend, measured at 0c1e57098), releases and a small model."""


@dataclass(frozen=True)
class Expected:
    lab: str
    node: str
    os: str
    arch: str
    interfaces: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """os: ID-VERSION_ID; free: MiB below /var/lib; systemd: PID 1 is systemd; root: the commands run as root."""

    os: str = ""
    arch: str = ""
    free: int = 0
    systemd: bool = False
    root: bool = False
    interfaces: frozenset[str] = frozenset()
    lock: str = ""
    """Who holds the lab's lock on this node; empty where this run has it, or nobody."""


def plan(lab: Lab, name: str) -> Expected:
    interfaces = tuple(end.interface for end in lab.ends(name))
    return Expected(lab.name, name, lab.node(name).os, arch_of(lab), interfaces)


def judge(expected: Expected, seen: Snapshot) -> list[Finding]:
    """Pure: everything that would stop the run."""

    def stop(rule: str, found: str, wanted: str, fix: str) -> Finding:
        return Finding(rule, "stop", expected.node, found, wanted, fix)

    found = []
    if not seen.root:
        return [
            stop("commands run as root", "they do not", "root", "ssh.user: root, or a user with sudo without password")
        ]
    if seen.lock:
        found.append(stop("one run at a time", f"held by {seen.lock}", "no other run", "wait for it to end"))
    if seen.os != expected.os:
        found.append(stop("os", seen.os or "unknown", expected.os, f"write nodes.{expected.node}.os: {seen.os}"))
    if seen.arch != expected.arch:
        found.append(stop("architecture", seen.arch, expected.arch, "this box cannot run the lab's builds"))
    if not seen.systemd:
        found.append(stop("PID 1", "not systemd", "systemd", "halofleet's services are systemd units"))
    if seen.free < FREE_MIB:
        found.append(stop("free space in /var/lib", f"{seen.free} MiB", f"{FREE_MIB} MiB", "make room"))
    for interface in expected.interfaces:
        if interface not in seen.interfaces:
            fix = f"plug the cable in, or correct the name in links; ip link on {expected.node} shows what there is"
            found.append(stop(f"interface {interface}", "not there", "there", fix))
    return found
