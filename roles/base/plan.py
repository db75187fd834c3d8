"""What every node needs before anything of llama.cpp: packages, the service user, directories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from inventory.spec import Lab
from roles.lib import layout
from roles.lib.packages import Table
from roles.lib.paths import Directory, File
from roles.lib.units import STOPS

# libgomp: the CPU backend is linked with OpenMP. python3: for layout.PROGRAMS. Names: each distribution's own index.
PACKAGES: Table = {
    "apt": (
        "ca-certificates",
        "iperf3",
        "iproute2",
        "iputils-arping",
        "iputils-ping",
        "libgomp1",
        "nftables",
        "procps",
        "python3",
    ),
    "dnf": (
        "ca-certificates",
        "diffutils",
        "findutils",
        "gzip",
        "iperf3",
        "iproute",
        "iputils",
        "libgomp",
        "nftables",
        "procps-ng",
        "python3",
        "tar",
    ),
}

# Any of these keeps the time; a host that has one is left alone (Ubuntu 26.04 and Fedora have chrony).
TIME_UNITS = ("chronyd.service", "chrony.service", "ntpd.service", "ntpsec.service", "systemd-timesyncd.service")
TIME_PACKAGES: Table = {"apt": ("systemd-timesyncd",), "dnf": ("chrony",)}
TIME_UNIT = {"apt": "systemd-timesyncd.service", "dnf": "chronyd.service"}


@dataclass(frozen=True)
class Base:
    """login: the user that SSH logs in as; it owns the directory where uploads arrive."""

    login: str
    own_clock: bool


def plan(lab: Lab, name: str) -> Base:
    return Base(login=lab.ssh(name).user, own_clock=lab.node(name).kernel == "own")


def directories(base: Base) -> tuple[Directory | File, ...]:
    """And what all services of ours have in common."""
    return (
        Directory(layout.ETC),
        Directory(layout.STATE),
        Directory(layout.INCOMING, "700", base.login, "root"),
        Directory(layout.MODELS),
        Directory(layout.BUILDS),
        Directory("/opt/halofleet"),
        Directory(layout.PROGRAMS),
        Directory(layout.LLAMA_CPP),
        Directory(layout.RELEASES),
        Directory(str(PurePosixPath(STOPS.path).parent)),
        STOPS,
    )
