"""What is plugged in at the ports whose interfaces get their names. Pure.

A cable that is not there is no reason to stop: what its end gets is written ahead of the peer. A cable in another port
than lab.yml says is told, and never taken for the one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from roles.lib.finding import Finding, Severity
from roles.network import renames
from roles.network.ports import MODULE, Port, Seen, meant
from roles.preflight.plan import Expected, Snapshot

SHOWN = "udevadm info /sys/class/net/NAME shows it as ID_PATH"


def judge_ports(expected: Expected, seen: Snapshot) -> list[Finding]:
    """Stops, and warnings about cables."""
    if not seen.root:
        return []

    def finding(severity: Severity, rule: str, found: str, wanted: str, fix: str) -> Finding:
        return Finding(rule, severity, expected.node, found, wanted, fix)

    stops = [finding("stop", *said) for said in _host(expected, seen)]
    if expected.ports and not seen.udev:
        return stops  # what it would have said of the ports is not known
    stops += [finding("stop", *said) for port in expected.ports for said in _port(port, expected, seen)]
    stops += [finding("stop", *said) for said in _strangers(expected, seen)]
    return [*stops, *(finding("warn", *said) for said in _cables(expected, seen))]


Said = Iterator[tuple[str, str, str, str]]
"""Rule, what is seen, what is expected, what to do."""


def _host(expected: Expected, seen: Snapshot) -> Said:
    if expected.module and not seen.module:
        fix = (
            "reboot, if the kernel was upgraded since; else install the rest of its modules "
            "(Ubuntu: linux-modules-extra-$(uname -r), Fedora: kernel-modules)"
        )
        yield f"module {MODULE}", "not there", "there, for the USB4 cables", fix
    if expected.ports and not seen.udev:
        ends = ", ".join(port.interface for port in expected.ports)
        fix = "start systemd-udevd; where there can be none (a container), name the port by its interface"
        yield f"names of {ends}", "udev does not run", "udev, which gives interfaces their names", fix


def _port(port: Port, expected: Expected, seen: Snapshot) -> Said:
    found, rule = meant(port, seen.ports), f"port of {port.interface}"
    if len(found) > 1:
        several = ", ".join(one.where for one in found)
        yield rule, several, "one interface", f"name its PCI path in links ({SHOWN})"
    elif not found and not port.peer:
        fix = f"correct the port in links; ip link on {expected.node} shows what there is, {SHOWN}"
        yield rule, f"no interface has {port.said}", "an Ethernet interface", fix
    for one in found[:1] if len(found) == 1 else ():
        if one.name == seen.ssh_interface:
            fix = "name the port that the cable is plugged into"
            yield rule, f"{one.where}: SSH comes in over it", "a dedicated link", fix
        if one.name in seen.masters:
            yield rule, f"{one.where} is part of {seen.masters[one.name]}", "a port of its own", "take it out of it"
        if port.peer and one.peer != port.peer and one.peer in expected.nodes:
            fix = f"plug it into {port.peer}, or correct links in lab.yml"
            yield rule, f"the cable at {one.path} leads to {one.peer}", f"to {port.peer}", fix


def _strangers(expected: Expected, seen: Snapshot) -> Said:
    """An interface that has the name of a link by somebody else's doing."""
    by_hardware = {one.name for one in seen.ports}
    for one in renames.strangers(expected.ports, seen.ports):
        if not one.ours:
            yield _taken(one.name, one.where)
        elif one.name == seen.ssh_interface:
            yield f"interface {one.name}", f"{one.where}: SSH comes in over it", "a dedicated link", "leave its name"
    for port in expected.ports:
        if port.interface in seen.interfaces - by_hardware:
            yield _taken(port.interface, "no port of the box")


def _taken(name: str, what: str) -> tuple[str, str, str, str]:
    return f"interface {name}", f"the name belongs to {what}", "a name that is free", f"call it otherwise than {name}"


def _cables(expected: Expected, seen: Snapshot) -> Said:
    """USB4 cables that are missing, and those that nobody expects."""
    expects = {one.name for port in expected.ports for one in meant(port, seen.ports)} | set(expected.interfaces)
    others = [one for one in seen.ports if one.usb4 and one.name not in expects]
    for port in expected.ports:
        if port.peer and not meant(port, seen.ports):
            fix = f"plug it in and see that {port.peer} is up; nothing else is needed, its configuration waits for it"
            yield f"port of {port.interface}", f"nothing plugged in at {port.where}", port.purpose, fix
    for one in others:
        rule, fix = (
            f"USB4 port {one.path}",
            "plug the cable into the port that links names, or correct links in lab.yml",
        )
        yield rule, f"{_leads(one)} is plugged in there", "nothing: no link of lab.yml has this port", fix


def _leads(one: Seen) -> str:
    return f"a cable to {one.peer} ({one.name})" if one.peer else f"a cable ({one.name})"
