"""What the doctor looks at besides the GPU: what the inventory says, ports, and habits of the system that hurt."""

from __future__ import annotations

import re

from roles.doctor.box import Box
from roles.doctor.gpu import GIB
from roles.doctor.patient import Check, Patient, Said
from roles.tuning.plan import PARENT, PROFILE

RPC_PORTS = (50052, 50053)
"""llama.cpp's own, and that of AMD's playbooks."""

DIRTY_RATIO = 40
"""What tuned's accelerator-performance sets."""


def inventory(patient: Patient) -> Said:
    box, wanted = patient.box, patient.wanted
    if wanted.os and box.os and wanted.os != box.os:
        yield "os", {"seen": box.os, "expected": wanted.os}
    if wanted.board and patient.board and patient.board.name != wanted.board:
        yield "board", {"seen": patient.board.name, "expected": wanted.board}
    there = patient.box.gib + (box.gpu.vram / GIB if box.gpu else 0)
    if patient.kernel and wanted.installed and patient.box.gib and there < 0.9 * wanted.installed:
        yield "installed memory", {"seen": there, "expected": wanted.installed}


def rpc(patient: Patient) -> Said:
    box = patient.box
    ports = {*RPC_PORTS, *patient.wanted.rpc_ports}
    for listener in dict.fromkeys(box.listeners):
        if listener.port not in ports or listener.address.startswith("127.") or listener.address == "::1":
            continue
        if listener.address == "*":
            names = dict.fromkeys(name for name in box.interfaces.values() if name != "lo")
            where = ", ".join(_described(box, name) for name in names) or "every interface"
            yield "RPC port open", {"port": listener.port, "where": where}
            continue
        name = box.interfaces.get(listener.address, "")
        if name not in patient.wanted.links and (name in box.outside or name in box.wireless):
            severity = "stop" if name in box.wireless else "warn"
            values = {"port": listener.port, "address": listener.address, "where": _described(box, name)}
            yield "RPC port on the network", {"severity": severity, **values}


def _described(box: Box, name: str) -> str:
    if name in box.wireless:
        return f"{name} (Wi-Fi)"
    return f"{name} (default route)" if name in box.outside else name


def upgraded(patient: Patient) -> Said:
    box = patient.box
    if patient.kernel and box.kernel and box.next_kernel not in ("", box.kernel):
        yield "kernel to come", {"kernel": box.kernel, "next": box.next_kernel}


def sleep(patient: Patient) -> Said:
    box = patient.box
    gnome = any(name in box.packages for name in ("gdm", "gdm3", "gnome-shell"))
    awake = box.stays_awake or box.suspend.startswith("masked") or box.variant == "server"
    if gnome and not awake and box.target == "graphical.target" and box.os.startswith(("fedora", "debian")):
        yield "GNOME suspends the box", {}


def tuned(patient: Patient) -> Said:
    box = patient.box
    good = {PARENT, PROFILE} & set(box.tuned.split())
    if box.tuned and not good and patient.wanted.tuning:
        yield "tuned", {"seen": box.tuned}
    if good:
        for name in sorted(box.active & {"tuned-ppd", "power-profiles-daemon"}):
            yield "tuned-ppd", {"seen": name}
        if patient.kernel and box.vm.get("dirty_ratio", 0) >= DIRTY_RATIO:
            yield "dirty pages", {"seen": box.vm["dirty_ratio"]}


def leftovers(patient: Patient) -> Said:
    if patient.box.amdvlk:
        yield "AMDVLK", {"seen": patient.box.amdvlk}
    for line in patient.box.environment:
        for name in ("HSA_OVERRIDE_GFX_VERSION", "RADV_PERFTEST", "GGML_CUDA_ENABLE_UNIFIED_MEMORY"):
            if match := re.search(rf"{name}=[^\s;]*", line):  # the rest of the line may be anybody's secret
                yield name, {"seen": f"{match[0]} in {line.partition(': ')[0]}"}


CHECKS: tuple[Check, ...] = (inventory, rpc, upgraded, sleep, tuned, leftovers)
