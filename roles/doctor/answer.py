"""Reads what templates/doctor/look.sh prints: a line per thing, KEY VALUE."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from roles.doctor import versions
from roles.doctor.box import Box, Gpu, Line, Listener
from roles.lib import grub_settings


def parse(output: Iterable[str]) -> Box:
    """Never raises: what makes no sense counts as not said."""
    said: dict[str, list[str]] = defaultdict(list)
    for line in output:
        # What a box says ends on somebody's terminal.
        key, _, value = "".join(filter(str.isprintable, line)).strip().partition(" ")
        if value:
            said[key].append(value.strip())
    one = {key: values[-1] for key, values in said.items()}
    grubby = _grubby(said["grubby"])
    packages = dict(pair for value in said["package"] if len(pair := value.split(" ", 1)) == 2)
    return Box(
        os=one.get("os", ""),
        variant=one.get("variant", ""),
        hostname=one.get("hostname", ""),
        kernel=one.get("kernel", ""),
        next_kernel=_next_kernel(said, grubby),
        arch=one.get("arch", ""),
        root=one.get("root") == "yes",
        container=one.get("container", ""),
        memory=_number(one.get("MemTotal")),
        swap=_number(one.get("SwapTotal")),
        lines=_lines(said, grubby),
        dmi=_below(one, "dmi."),
        vm={key: _number(value) for key, value in _below(one, "vm.").items()},
        modules=frozenset(said["module"]),
        parameters=_below(one, "param."),
        gpu=_gpu(said, one),
        packages=packages,
        rocm=_rocm(said["rocm"], packages),
        amdvlk=one.get("amdvlk", ""),
        environment=tuple(said["env"]),
        listeners=tuple(found for value in said["listen"] if (found := _listener(value))),
        interfaces={address: name for value in said["address"] for name, _, address in [value.partition(" ")]},
        outside=frozenset(said["default_route"]),
        wireless=frozenset(said["wireless"]),
        tuned=one.get("tuned", ""),
        active=frozenset(said["active"]),
        target=one.get("default_target", ""),
        suspend=one.get("suspend", ""),
        stays_awake=any("'nothing'" in value for value in said["dconf"]),
        unread=tuple(dict.fromkeys(said["unread"])),
    )


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else 0


def _below(one: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in one.items() if key.startswith(prefix)}


def _rocm(versions_said: list[str], packages: Mapping[str, str]) -> str:
    """The file of AMD's build, or its packages (amdrocm-core10.0-gfx1151; rocm-core 7.2.0.70200-43, which
    distributions have too, but as 6.4.4-1.fc43)."""
    cores = [
        version
        for name, version in packages.items()
        if name.startswith("amdrocm-core")
        or (name == "rocm-core" and re.match(r"[0-9]+(\.[0-9]+){2}\.[0-9]{5}", version))
    ]
    return versions_said[0] if versions_said else next(iter(cores), "")


def _listener(text: str) -> Listener | None:
    """`0.0.0.0:50052`, `[::]:22`, `*:80`, `127.0.0.53%lo:53`."""
    address, _, port = text.rpartition(":")
    address = address.partition("%")[0].strip("[]")
    everywhere = address in ("0.0.0.0", "::", "*")  # noqa: S104
    return Listener("*" if everywhere else address, int(port)) if re.fullmatch(r"[0-9]{1,5}", port) else None


def _grubby(said: list[str]) -> dict[str, str]:
    """`args="ro quiet"`, a line each (grubby --info=DEFAULT); quotes that belong to the arguments stay."""
    pairs = (line.partition("=") for line in said)
    return {key: value.strip().removeprefix('"').removesuffix('"') for key, sign, value in pairs if sign}


def _next_kernel(said: Mapping[str, list[str]], grubby: Mapping[str, str]) -> str:
    """grubby's default; else GRUB's own, the newest one, unless GRUB_DEFAULT names another."""
    if kernel := grubby.get("kernel"):
        return kernel.rpartition("vmlinuz-")[2]
    default = _settings(said.get("grub", [])).get("GRUB_DEFAULT", "0")
    installed = said.get("installed_kernel", [])
    return max(installed, key=versions.newest) if installed and default == "0" else ""


def _lines(said: Mapping[str, list[str]], grubby: Mapping[str, str]) -> tuple[Line, ...]:
    found = [Line("/proc/cmdline", "booted with", text) for text in said.get("cmdline", [])[:1]]
    if grubby:
        root = f"root={grubby['root']} " if "root" in grubby else ""
        found.append(Line("grubby --info=DEFAULT", "will boot with", root + grubby.get("args", "")))
    values = _settings(said.get("grub", []))
    text = " ".join(
        values[key] for key in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT") if values.get(key, "").strip()
    )
    if text:
        found.append(Line("/etc/default/grub", "kernels to come get" if grubby else "will boot with", text))
    found += [Line("/etc/kernel/cmdline", "kernels to come get", text) for text in said.get("kernel_cmdline", [])[:1]]
    for option in said.get("modprobe", []):
        file, _, rest = option.partition(": ")
        name, *parts = rest.split()[1:] or [""]
        found.append(Line(file, "modprobe loads with", " ".join(f"{name}.{part}" for part in parts)))
    return tuple(found)


def _settings(said: list[str]) -> dict[str, str]:
    """GRUB's, of lines `FILE: LINE`."""
    return grub_settings.values(line.partition(": ")[2] for line in said)


def _gpu(said: Mapping[str, list[str]], one: Mapping[str, str]) -> Gpu | None:
    if "gpu" not in one:
        return None
    mes = [match[1] for line in said["firmware"] if (match := re.match(r"MES feature.*version: (0x[0-9a-f]+)", line))]
    return Gpu(
        bdf=one["gpu"],
        driver=one.get("gpu.driver", ""),
        gtt=_number(one.get("gpu.mem_info_gtt_total")),
        vram=_number(one.get("gpu.mem_info_vram_total")),
        carveout=one.get("gpu.uma/carveout", ""),
        carveout_options=tuple(said["gpu.carveout_option"]),
        gfx=one.get("gfx", ""),
        mes=mes[0] if mes else "",
        said=tuple(said["dmesg"]),
    )
