"""What status says: for people, as text, and for programs, as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from roles.doctor.box import KIB_PER_GIB, Box
from roles.guard.facts import Sight as Guarded
from roles.lib.finding import WORST_FIRST, Finding
from roles.lib.units import UnitState
from roles.link_proof.facts import Sight
from roles.link_proof.plan import Pair, Proof
from roles.link_proof.speed import Speed
from roles.status import links
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
    guard: Guarded


@dataclass(frozen=True)
class Report:
    """findings: worst first."""

    nodes: list[Node]
    proofs: Mapping[str, Proof]
    sights: Mapping[str, Sight]
    speeds: Mapping[Pair, Speed]
    findings: list[Finding]

    @property
    def links(self) -> list[dict[str, Any]]:
        return list(links.described(self.proofs, self.sights, self.speeds))


def as_json(report: Report) -> str:
    document = {
        "nodes": [_node(node, report.sights) for node in report.nodes],
        "links": report.links,
        "findings": [asdict(finding) for finding in report.findings],
    }
    return json.dumps(document, indent=2) + "\n"


def as_text(report: Report) -> str:
    lines: list[str] = []
    for node in (_node(each, report.sights) for each in report.nodes):
        lines += _node_lines(node)
    if cables := report.links:
        lines += ["links:", *map(links.line, cables)]
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
        "units": [_unit(node, name, node.units.get(name, UnitState())) for name in node.wanted.units],
        "guard": _guard(node.guard) if node.wanted.guarded else None,
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


def _unit(node: Node, name: str, unit: UnitState) -> dict[str, Any]:
    """guard: its word for it, while that is news; None where it has none."""
    words = {each.unit: each.state for each in node.guard.state.units} if node.guard.fresh and node.guard.state else {}
    about = {"unit": name, "active": unit.active, "sub": unit.sub, "enabled": unit.file, "program": unit.exe}
    return about | {"guard": words.get(name)}


def _guard(sight: Guarded) -> dict[str, Any]:
    """age: seconds since it has written what follows."""
    said = asdict(sight.state) if sight.state else {"time": None, "trouble": f"its state {sight.why}", "units": []}
    return {"age": sight.age} | said


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
        guard = f"; guard: {unit['guard']}" if unit["guard"] else ""
        yield f"  {unit['unit']}: {unit['active']} ({unit['sub']}){guard}"
    if node["gpu"]:
        gtt, vram = (node[key] / KIB_PER_GIB / 1024 for key in ("gtt_bytes", "vram_bytes"))
        yield f"  GPU {node['gpu']}: GTT {gtt:.2f} GiB, VRAM {vram:.2f} GiB, ttm.pages_limit {node['pages_limit']}"
    if node["cmdline"] and node["gpu"]:
        yield f"  booted with: {node['cmdline']}"
    for domain, level in node["usb4_security"].items():
        yield f"  USB4 {domain}: security {level}: {SECURITY.get(level, 'a level that is not known here')}"
