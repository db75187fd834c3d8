"""What status says: for people, as text, and for programs, as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from roles.doctor.box import KIB_PER_GIB, Box
from roles.lib.finding import WORST_FIRST, Finding
from roles.lib.units import UnitState
from roles.link_proof import record
from roles.link_proof.facts import Answer, Sight
from roles.link_proof.plan import Pair, Peer, Proof, Wire
from roles.link_proof.speed import Speed
from roles.status.plan import Wanted
from roles.verify.facts import Sight as Programs

SECURITY = {
    "none": "every device is let in; links between hosts work",
    "user": "PCIe devices wait for somebody's consent (bolt); links between hosts need none",
    "secure": "PCIe devices need consent and a key; links between hosts need neither",
    "dponly": "the firmware tunnels no PCIe; links between hosts need none",
    "usbonly": "the firmware tunnels no PCIe; links between hosts need none",
    "nopcie": "PCIe tunnels are off in the BIOS; links between hosts need none",
}
"""Of a Thunderbolt domain. Documentation/admin-guide/thunderbolt.rst, and ABI/testing/sysfs-bus-thunderbolt."""


@dataclass(frozen=True)
class Node:
    """What a node said to each of the questions. health: by serve, the status of its API's /health; None where nobody
    answers."""

    wanted: Wanted
    units: Mapping[str, UnitState]
    programs: Programs
    links: Sight
    box: Box
    health: Mapping[str, int | None]


@dataclass(frozen=True)
class Report:
    """findings: worst first."""

    nodes: list[Node]
    proofs: Mapping[str, Proof]
    sights: Mapping[str, Sight]
    speeds: Mapping[Pair, Speed]
    findings: list[Finding]


def as_json(report: Report) -> str:
    document = {
        "nodes": [_node(node, report.sights) for node in report.nodes],
        "links": list(_links(report)),
        "findings": [asdict(finding) for finding in report.findings],
    }
    return json.dumps(document, indent=2) + "\n"


def as_text(report: Report) -> str:
    lines: list[str] = []
    for node in (_node(each, report.sights) for each in report.nodes):
        lines += _node_lines(node)
    links = list(_links(report))
    lines += ["links:", *map(_link_line, links)] if links else []
    for finding in report.findings:
        lines.append(f"{finding.severity:<4}  {finding.node}: {finding.rule}: {finding.seen}")
        lines += [f"      {key}: {getattr(finding, key)}" for key in ("expected", "fix")]
    count = Counter(finding.severity for finding in report.findings)
    said = ", ".join(f"{count[severity]} {severity}" for severity in WORST_FIRST if severity != "ok")
    plural = "s" if len(report.nodes) != 1 else ""
    lines.append(f"{len(report.nodes)} node{plural}: {said}")
    return "\n".join(lines) + "\n"


def _node(node: Node, sights: Mapping[str, Sight]) -> dict[str, Any]:
    check, box, programs = node.wanted.check, node.box, node.programs
    gpu = box.gpu
    return {
        "node": node.wanted.node,
        "os": box.os,
        "kernel": box.kernel,
        "product": box.dmi.get("product_name", ""),
        "memory_kib": box.memory,
        "cmdline": next((line.text for line in box.lines if line.when == "booted with"), ""),
        "pages_limit": box.parameters.get("ttm.pages_limit", ""),
        "gtt_bytes": gpu.gtt if gpu else 0,
        "vram_bytes": gpu.vram if gpu else 0,
        "gpu": gpu.bdf if gpu else "",
        "usb4_security": dict(sights[node.wanted.node].security) if not node.wanted.proof.virtual else {},
        "releases": [
            {
                "id": release.id,
                "backend": release.backend,
                "commit": programs.commits.get(release.id, ""),
                "devices": programs.devices.get(release.id, {}),
            }
            for release in check.releases
        ],
        "units": [
            {"unit": name, "active": unit.active, "sub": unit.sub, "enabled": unit.file, "program": unit.exe}
            for name, unit in ((name, node.units.get(name, UnitState())) for name in node.wanted.units)
        ],
        "serves": [
            {
                "serve": server.serve,
                "model": server.model,
                "url": server.url,
                "workers": list(server.workers),
                "ready": node.health.get(server.serve) == 200,
            }
            for server in check.servers
        ],
        "lends": {"serve": check.rpc.serve, "endpoint": check.rpc.endpoint} if check.rpc else None,
    }


def _node_lines(node: dict[str, Any]) -> Iterator[str]:
    memory = f"{node['memory_kib'] / KIB_PER_GIB:.1f} GiB" if node["memory_kib"] else ""
    kernel = f"kernel {node['kernel']}" if node["kernel"] else ""
    yield f"{node['node']}: {', '.join(filter(None, (node['product'], node['os'], kernel, memory)))}"
    for release in node["releases"]:
        found = "; ".join(f"{name}: {about}" for name, about in release["devices"].items())
        on = found or ("the CPU" if release["backend"] == "cpu" else "no device")
        yield f"  release {release['id']}, commit {release['commit'] or 'unknown'}, on {on}"
    for serve in node["serves"]:
        state = "ready" if serve["ready"] else "not ready"
        with_whom = f" with {', '.join(serve['workers'])}" if serve["workers"] else ""
        yield f"  serves {serve['model']} as {serve['serve']} at {serve['url']}{with_whom}: {state}"
    if node["lends"]:
        yield f"  lends its memory to {node['lends']['serve']} at {node['lends']['endpoint']}"
    for unit in node["units"]:
        yield f"  {unit['unit']}: {unit['active']} ({unit['sub']})"
    if node["gpu"]:
        gtt, vram = (node[key] / KIB_PER_GIB / 1024 for key in ("gtt_bytes", "vram_bytes"))
        yield f"  GPU {node['gpu']}: GTT {gtt:.2f} GiB, VRAM {vram:.2f} GiB, ttm.pages_limit {node['pages_limit']}"
    if node["cmdline"] and node["gpu"]:
        yield f"  booted with: {node['cmdline']}"
    for domain, level in node["usb4_security"].items():
        yield f"  USB4 {domain}: security {level}: {SECURITY.get(level, 'a level that is not known here')}"


def _links(report: Report) -> Iterator[dict[str, Any]]:
    """Every pair of neighbours once, seen from the first of them that answered; then the ways through others."""
    seen: set[frozenset[tuple[str, str]]] = set()
    for node, sight in sorted(report.sights.items()):
        for wire in report.proofs[node].wires:
            for peer in wire.peers:
                ends = frozenset({(node, wire.interface), (peer.node, peer.interface)})
                if ends not in seen:
                    seen.add(ends)
                    yield _link(report, node, sight, wire, peer)
        for far in report.proofs[node].far:
            answer = sight.answers.get((far.interface, far.address), Answer())
            ends_said = {"from": f"{node} {far.source}", "to": f"{far.node} {far.address}"}
            yield {"link": f"through {', '.join(far.via)}"} | ends_said | _reached(answer)


def _link(report: Report, node: str, sight: Sight, wire: Wire, peer: Peer) -> dict[str, Any]:
    answer = sight.answers.get((wire.interface, peer.address), Answer())
    found: dict[str, Any] = {
        "link": wire.link,
        "from": f"{node} {wire.interface} {wire.address}",
        "to": f"{peer.node} {peer.interface} {peer.address}",
    }
    found |= _reached(answer)
    found["usb4"] = dict(sight.usb4.get(wire.interface, {}))
    nodes = {node, peer.node}
    for pair, speed in report.speeds.items():
        if pair.link == wire.link and nodes == {pair.sender.node, pair.receiver.node}:
            found["gbit"] = [round(speed.there, 2), round(speed.back, 2)]
    known = record.of(wire, node, {node: sight.proven})
    return found | {"proven_mtu": known.mtu if known else 0, "proven_gbit": known.gbit if known else 0}


def _reached(answer: Answer) -> dict[str, Any]:
    times = answer.times
    return {
        "median_ms": median(times) if times else None,
        "worst_ms": max(times) if times else None,
        "mtu_unsplit": answer.passes,
        "answers": len(times),
    }


def _link_line(link: dict[str, Any]) -> str:
    words = [f"  {link['link']}: {link['from']} - {link['to']}"]
    if link["answers"]:
        words.append(f"{link['mtu_unsplit']} bytes unsplit")
        words.append(f"round trip {link['median_ms']:.3f} ms, worst {link['worst_ms']:.3f} of {link['answers']}")
    else:
        words.append("no answer")
    if usb4 := link.get("usb4"):
        ways = ((usb4.get(f"{way}_speed"), usb4.get(f"{way}_lanes")) for way in ("rx", "tx"))
        words.append("trained at " + " and ".join(f"{speed} x{lanes}" for speed, lanes in ways))
    if "gbit" in link:
        words.append(f"{link['gbit'][0]:.1f} Gbit/s, {link['gbit'][1]:.1f} back")
    elif link.get("proven_gbit"):
        words.append(f"{link['proven_gbit']:.1f} Gbit/s when it was proven")
    return "; ".join(words)
