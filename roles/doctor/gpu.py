"""What the doctor looks at around the GPU and its memory."""

from __future__ import annotations

from roles.doctor import versions
from roles.doctor.boards import SMALLEST_MIB
from roles.doctor.lint_checks import PAGES_PER_GIB
from roles.doctor.patient import Check, Patient, Said
from roles.lib import cmdline

GIB = 1024**3
RESERVE_GIB = 8
"""As docs/inventory.md says of `memory.reserve`."""

HALF = 0.6
"""Of the RAM: Linux gives the GPU half, and nobody who has set a limit set so little."""

CLOSE = 0.98
CARVEOUT_GIB = 4
"""noamsto/nix-amd-ai#42: this much is reported where the BIOS says 512 MB."""


def gpu(patient: Patient) -> Said:
    box, backend = patient.box, patient.wanted.backend
    if not patient.kernel:
        return
    if box.gpu and box.gpu.driver != "amdgpu" and backend == "cpu":
        return  # a virtual machine's, by vfio-pci
    if box.gpu is None:
        if backend in ("vulkan", "rocm"):
            yield "no GPU to compute with", {"expected": backend}
        elif not backend and box.kernel:
            yield "no GPU", {}
    elif box.gpu.driver != "amdgpu":
        yield "GPU without its driver", {"bdf": box.gpu.bdf, "driver": box.gpu.driver or "no driver"}
    else:
        if box.gpu.gfx and box.gpu.gfx != "110501":
            yield "GPU's generation", {"seen": box.gpu.gfx}
        if hung := [line for line in box.gpu.said if "timeout" in line or "wedged" in line]:
            yield "GPU hung", {"seen": hung[-1]}


def gpu_memory(patient: Patient) -> Said:
    box, wanted = patient.box, patient.wanted
    if not (patient.kernel and box.gpu and box.gpu.gtt and box.memory):
        return
    seen = box.gpu.gtt / GIB
    could = wanted.gpu or patient.box.gib - (wanted.reserve or RESERVE_GIB)
    # New kernels cap what was asked for at the RAM.
    enough = min(could, patient.box.gib) * CLOSE if wanted.gpu or wanted.reserve else patient.box.gib * HALF
    values = {"seen": seen, "memory": patient.box.gib}
    if seen >= enough:
        yield "GPU's memory is set", values
        return
    pending = [line for line in box.lines if line.when == "will boot with"]
    limits = [pages for line in pending if (pages := _limit(line.text)) and pages / PAGES_PER_GIB > seen]
    fix = f"add ttm.pages_limit={int(could) * PAGES_PER_GIB} to the kernel's command line and reboot"
    if limits:
        fix = f"reboot: it will boot with ttm.pages_limit={limits[-1]}"
    yield "GPU's memory", values | {"expected": f"{int(could)} GiB", "fix": fix}


def _limit(line: str) -> int | None:
    found = cmdline.values(line, "ttm.pages_limit")
    return versions.number(found[-1]) if found else None


def arrived(patient: Patient) -> Said:
    """What the box was to boot with, and what the module says; the command line wins over modprobe's options."""
    box = patient.box
    for name in ("ttm.pages_limit", "amdttm.pages_limit", "amdgpu.lockup_timeout") if patient.kernel else ():
        said = [
            (line.where, found[-1])
            for when in ("booted with", "modprobe loads with")
            for line in box.lines
            if line.when == when and (found := cmdline.values(line.text, name))
        ]
        now = box.parameters.get(name)
        # A limit above the RAM is another finding, and kernels cap it.
        if said and now and said[0][1] != now and (versions.number(said[0][1]) or 0) <= box.memory // 4:
            yield "parameter did not arrive", {"name": name, "where": said[0][0], "wanted": said[0][1], "seen": now}


def carveout(patient: Patient) -> Said:
    box, board = patient.box, patient.board
    if not (patient.kernel and box.gpu) or box.gpu.vram <= CARVEOUT_GIB * GIB:
        return
    smallest = f"{board.smallest if board else SMALLEST_MIB} MiB"
    menu = board.menu if board and board.menu else "the BIOS: UMA frame buffer size, or iGPU memory"
    fix = f"set it in {menu}"
    if box.gpu.carveout_options:
        option = box.gpu.carveout_options[0]
        path = f"/sys/bus/pci/devices/{box.gpu.bdf}/uma/carveout"
        fix = f"write {option.partition(':')[0]} to {path} ({option}) and reboot, or {fix}"
    source = board.source if board else "no source for this board"
    yield "carve-out", {"seen": box.gpu.vram / GIB, "expected": smallest, "fix": fix, "source": source}


def quirks(patient: Patient) -> Said:
    if not (patient.kernel and patient.board):
        return
    for quirk in patient.board.quirks:
        values = {"board": patient.board.name, "effect": quirk.effect, "fix": quirk.fix, "source": quirk.source}
        if not quirk.kernel:
            yield "board's quirk", values
        elif versions.within(patient.box.kernel, quirk.kernel, "upstream"):
            yield "board and kernel", values | {"kernel": patient.box.kernel, "range": quirk.kernel}


CHECKS: tuple[Check, ...] = (gpu, gpu_memory, arrived, carveout, quirks)
