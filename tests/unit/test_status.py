"""What deploys/status.py says, of nodes and links that are there in words only. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.spec import Lab
from roles.doctor.box import Box, Gpu, Line
from roles.guard.facts import Complaint, State, Watched
from roles.guard.facts import Sight as Guarded
from roles.lib.finding import Finding
from roles.lib.units import UnitState
from roles.link_proof import record
from roles.link_proof.plan import pairs
from roles.link_proof.speed import Speed
from roles.status.judge import judge
from roles.status.plan import plan
from roles.status.report import Node, Report, as_json, as_text
from roles.verify.facts import Sight as Programs
from tests.unit.test_link_proof import ONE, answer, healthy, sight
from tests.unit.test_roles_plans import lab

NOW = 1764370000.0
UP = UnitState("loaded", "active", "running", "enabled", pid=7)
BOX = Box(
    os="fedora-43",
    kernel="6.18.9",
    memory=131753574,
    lines=(Line("/proc/cmdline", "booted with", "ro quiet ttm.pages_limit=29360128"),),
    parameters={"ttm.pages_limit": "29360128"},
    gpu=Gpu("0000:c5:00.0", gtt=112 << 30, vram=512 << 20),
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without artifacts: what commit a release should be of is not known."""
    monkeypatch.setenv("HALOFLEET_HOME", str(tmp_path))


def nodes(whole: Lab) -> list[Node]:
    """All is well with them."""
    eyes = healthy(whole)
    found = []
    for name in whole.nodes:
        wanted = plan(whole, name)
        check = wanted.check
        exes = {server.unit: f"{server.release.path}/bin/llama-server" for server in check.servers}
        if check.rpc:
            exes["halofleet-rpc-server.service"] = f"{check.rpc.release.path}/bin/ggml-rpc-server"
        programs = Programs(
            exes,
            (check.rpc.endpoint,) if check.rpc else (),
            {release.id: "0c1e57098" for release in check.releases},
        )
        health: dict[str, int | None] = {server.serve: 200 for server in check.servers}
        guard = Guarded(NOW, State(NOW - 1, "", tuple(Watched(unit, "well") for unit in wanted.guarded)), "")
        found.append(Node(wanted, dict.fromkeys(wanted.units, UP), programs, eyes.sights[name], BOX, health, guard))
    return found


def findings(node: Node) -> list[Finding]:
    return judge(node.wanted, node.units, node.programs, node.health, node.box, node.guard)


def test_nothing_is_said_against_what_is_well(tmp_path: Path) -> None:
    for node in nodes(lab(tmp_path)):
        assert findings(node) == []


def test_what_does_not_run_is_named(tmp_path: Path) -> None:
    controller, worker, _ = nodes(lab(tmp_path))

    def said(node: Node, **values: object) -> list[str]:
        found = findings(replace(node, **values))  # type: ignore[arg-type]
        return [f"{finding.severity} {finding.rule}: {finding.seen}" for finding in found]

    rpc = "halofleet-rpc-server.service"
    assert said(worker, units={}) == [
        f"stop {rpc}: not there",
        "stop halofleet-guard.service: not there",
        "stop halofleet-firewall.service: not there",
    ]
    dead = replace(UP, active="failed", sub="failed")
    assert said(worker, units=dict(worker.units) | {rpc: dead}) == [f"stop {rpc}: failed (failed)"]
    loose = replace(UP, file="disabled")
    assert said(worker, units=dict(worker.units) | {rpc: loose}) == [f"warn {rpc}: disabled"]
    assert said(worker, programs=replace(worker.programs, exes={rpc: "/opt/other"})) == [
        f"stop {rpc} runs its release: /opt/other"
    ]
    libraries = ("/usr/lib/libc.so.6", "/usr/lib/libm.so.6", "/usr/lib/libgomp.so.1", "/usr/lib/libvulkan.so.1")
    old = replace(UP, outdated=libraries)
    assert said(worker, units=dict(worker.units) | {rpc: old}) == [
        f"warn libraries of {rpc}: upgraded since it started: libc.so.6, libm.so.6, libgomp.so.1 and 1 more"
    ]
    newer = replace(BOX, next_kernel="7.0.1")
    boxes = replace(worker.wanted, box=replace(worker.wanted.box, kernel=True))
    assert said(worker, wanted=boxes, box=newer) == ["warn kernel to come: 6.18.9 runs, and 7.0.1 boots next"]
    container = replace(worker.wanted, box=replace(worker.wanted.box, kernel=False))
    assert said(worker, wanted=container, box=newer) == []
    assert said(controller, health={"chat": 503}) == ["warn API of chat: loads its model"]
    assert said(controller, health={"chat": None}) == ["stop API of chat: nobody answers"]
    assert said(controller, health={"chat": 500}) == ["stop API of chat: /health says 500"]


def test_what_the_guard_says_of_a_node(tmp_path: Path) -> None:
    """Of one that has a guard, and whose guard runs: what it said before it ended is not so any more."""
    controller, worker, _ = nodes(lab(tmp_path))
    rpc, guard = "halofleet-rpc-server.service", "halofleet-guard.service"
    assert controller.wanted.guarded == ("halofleet-server-chat.service",)
    assert worker.wanted.guarded == (rpc,)
    frozen = Watched(rpc, "suspect", (Complaint("frozen", "its process is stopped (state T)", 7),))
    seen = replace(worker, guard=Guarded(NOW, State(NOW, "", (frozen,)), ""))
    assert [each.rule for each in findings(seen)] == [f"guard of {rpc}"]
    ended = replace(seen, units=dict(worker.units) | {guard: replace(UP, active="failed", sub="failed")})
    assert [each.rule for each in findings(ended)] == [guard]
    assert [each.rule for each in findings(replace(worker, guard=Guarded(NOW, None, "is not there")))] == [
        "state of the guard"
    ]
    idle = nodes(lab(tmp_path, serves__chat__workers=["halo3"]))[1]
    assert idle.wanted.guarded == ()
    without = replace(idle, guard=Guarded(NOW, None, "is not there"))
    assert findings(without) == []
    whole = replace(report(lab(tmp_path)), nodes=[seen])
    assert f"  {rpc}: active (running); guard: suspect\n" in as_text(whole)
    assert f"  {guard}: active (running)\n" in as_text(whole)
    (node,) = json.loads(as_json(whole))["nodes"]
    assert [each["guard"] for each in node["units"] if each["unit"] == rpc] == ["suspect"]
    assert (node["guard"]["age"], node["guard"]["units"][0]["complaints"][0]["kind"]) == (0, "frozen")
    old = replace(seen, guard=Guarded(NOW + 600, State(NOW, "", (frozen,)), ""))
    assert "guard: suspect" not in as_text(replace(whole, nodes=[old])), "ten minutes ago"
    (node,) = json.loads(as_json(replace(whole, nodes=[without])))["nodes"]
    assert node["guard"] is None


def report(whole: Lab) -> Report:
    eyes = healthy(whole)
    wire = eyes.proofs["halo1"].wires[0]
    usb4 = {"rx_speed": "20.0 Gb/s", "rx_lanes": "2", "tx_speed": "20.0 Gb/s", "tx_lanes": "2"}
    proven = (record.Proven(wire.digest, wire.interface, 1500, 9.4),)
    eyes = sight(eyes, "halo1", security={"domain0": "user"}, usb4={"thunderbolt0": usb4}, proven=proven)
    eyes = answer(eyes, "halo1", ONE, times=(0.25, 0.24, 0.31))
    return Report(nodes(whole), eyes.proofs, eyes.sights, {}, [])


def test_the_report_for_people(tmp_path: Path) -> None:
    text = as_text(report(lab(tmp_path, links__2=None)))
    assert text.startswith("halo1: fedora-43, kernel 6.18.9, 125.6 GiB\n  release 0c1e57098-cpu-")
    for line in (
        "commit 0c1e57098, on the CPU",
        "  serves tiny as chat at http://10.43.0.11:8080/v1 with 10.44.0.1:50052, 10.44.255.252:50052: ready",
        "  lends its memory to chat at 10.44.255.252:50052",
        "  halofleet-rpc-server.service: active (running)",
        "  GPU 0000:c5:00.0: GTT 112.00 GiB, VRAM 0.50 GiB, ttm.pages_limit 29360128",
        "  booted with: ro quiet ttm.pages_limit=29360128",
        "  USB4 domain0: security user: PCIe devices wait for somebody's consent (bolt); links between hosts need none",
        "  usb4 halo1-halo2: halo1 thunderbolt0 10.44.0.0 - halo2 thunderbolt0 10.44.0.1; 1500 bytes unsplit; "
        "round trip 0.250 ms, worst 0.310 of 3; trained at 20.0 Gb/s x2 and 20.0 Gb/s x2; "
        "9.4 Gbit/s when it was proven",
        "  through halo2: halo1 10.44.255.254 - halo3 10.44.255.252; 1500 bytes unsplit; round trip 0.100 ms",
        "3 nodes: 0 stop, 0 warn",
    ):
        assert line in text
    assert text.count("usb4 halo1-halo2") == 1, "a link is said once"


def test_the_report_for_programs(tmp_path: Path) -> None:
    whole = lab(tmp_path)
    measured = replace(report(whole), speeds={pairs(whole)[0]: Speed(9.4, 9.1)})
    document = json.loads(as_json(measured))
    assert set(document) == {"nodes", "links", "findings"}
    cable = document["links"][0]
    assert (cable["link"], cable["gbit"], cable["median_ms"]) == ("usb4 halo1-halo2", [9.4, 9.1], 0.25)
    assert len(document["links"]) == 3
    assert document["nodes"][0]["serves"][0]["ready"] is True
    assert document["nodes"][0]["gtt_bytes"] == 112 << 30
    assert "9.4 Gbit/s, 9.1 back" in as_text(measured)
