"""What differs between the simulated hosts, each as its distribution's own images are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

NETWORKD = "systemd-networkd.service"
NETWORK_MANAGER = "NetworkManager.service"


@dataclass(frozen=True)
class Flavour:
    """programs: of OPTIONAL, what a fresh host has. enabled: units that are enabled and run."""

    os: str
    tool: str
    installed: frozenset[str]
    programs: frozenset[str]
    enabled: frozenset[str]
    disabled: frozenset[str] = frozenset()
    selinux: bool = False
    brings: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = field(default_factory=dict)
    """Package -> the programs it brings, the units it enables and starts, the units that it leaves disabled."""
    mesa: str = ""
    """The version of mesa-vulkan-drivers that the release has."""


def _brings(
    programs: str = "", enabled: str = "", disabled: str = ""
) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    return frozenset(programs.split()), frozenset(enabled.split()), frozenset(disabled.split())


_BUILD = {"cmake": _brings("cmake"), "ninja-build": _brings("ninja")}
_APT = _BUILD | {
    "build-essential": _brings("cc strip"),
    "ca-certificates": _brings(),
    "iperf3": _brings("iperf3"),
    "iproute2": _brings(),
    "iputils-arping": _brings("arping"),
    "iputils-ping": _brings("ping"),
    "libgomp1": _brings(),
    "nftables": _brings("nft", disabled="nftables.service"),
    "pkg-config": _brings(),
    "procps": _brings(),
    "python3": _brings(),
    "libatomic1": _brings(),
    "libdrm-amdgpu1": _brings(),
    "libquadmath0": _brings(),
    "libvulkan1": _brings(),
    "mesa-vulkan-drivers": _brings(),
    "vulkan-tools": _brings("vulkaninfo"),
    "amdrocm10.0-gfx1151": _brings(),
    "amdrocm-base10.0": _brings(),
    "amdrocm10.1-gfx1151": _brings(),
    "amdrocm-base10.1": _brings(),
    "tuned": _brings("tuned-adm", enabled="tuned.service"),
    # Debian's postinst enables and starts it.
    "systemd-timesyncd": _brings(enabled="systemd-timesyncd.service"),
}
# The second half is of packages that Debian calls essential.
_APT_PROGRAMS = frozenset({"apt-get", "dpkg", "dpkg-query", "cmp", "find", "gzip", "ping", "tar", "xargs"})
_OWN_KERNEL = frozenset({"modprobe", "udevadm"})
"""In the lab's containers no udevd runs."""

UBUNTU = Flavour(  # server: netplan writes networkd's files; chrony keeps the time since 25.10
    os="ubuntu-26.04",
    tool="apt",
    installed=frozenset({"ca-certificates", "iproute2", "iputils-ping", "procps", "python3", "chrony"}),
    programs=_APT_PROGRAMS | _OWN_KERNEL,
    enabled=frozenset({NETWORKD, "chrony.service"}),
    brings=_APT,
    mesa="26.0.8-1ubuntu0.3",
)
DEBIAN = Flavour(  # the lab's nodes: mmdebstrap's minbase of trixie, systemd-networkd enabled
    os="debian-13",
    tool="apt",
    installed=frozenset({"ca-certificates", "iproute2", "iputils-ping", "procps"}),
    programs=_APT_PROGRAMS | {"modprobe"},
    enabled=frozenset({NETWORKD}),
    brings=_APT,
    mesa="25.0.7-2+deb13u1",
)
# Server: NetworkManager and chrony; systemd-networkd is a package that it does not have. It has no more of diffutils,
# findutils, gzip and tar than Fedora promises: nothing.
FEDORA = Flavour(
    os="fedora-43",
    tool="dnf",
    installed=frozenset(
        {"ca-certificates", "iproute", "iputils", "libgomp", "procps-ng", "python3", "chrony", "pkgconf-pkg-config"}
    ),
    programs=frozenset({"arping", "dnf", "rpm", "restorecon", "rpmkeys", "lastlog", "nmcli", "ping"}) | _OWN_KERNEL,
    enabled=frozenset({"chronyd.service", NETWORK_MANAGER}),
    selinux=True,
    brings=_BUILD
    | {
        "binutils": _brings("strip"),
        "chrony": _brings(enabled="chronyd.service"),
        "diffutils": _brings("cmp"),
        "findutils": _brings("find xargs"),
        "gcc": _brings("cc strip"),
        "gcc-c++": _brings(),
        "gzip": _brings("gzip"),
        "iperf3": _brings("iperf3"),
        "make": _brings(),
        "libatomic": _brings(),
        "libdrm": _brings(),
        "libquadmath": _brings(),
        "mesa-vulkan-drivers": _brings(),
        "vulkan-loader": _brings(),
        "vulkan-tools": _brings("vulkaninfo"),
        "amdrocm10.0-gfx1151": _brings(),
        "amdrocm-base10.0": _brings(),
        "amdrocm10.1-gfx1151": _brings(),
        "amdrocm-base10.1": _brings(),
        "nftables": _brings("nft", disabled="nftables.service"),
        "pkgconf-pkg-config": _brings(),
        "tar": _brings("tar"),
        "tuned": _brings("tuned-adm", disabled="tuned.service"),
    },
    mesa="25.3.0-1.fc43",  # the number has no transcript
)
FLAVOURS = {"debian": DEBIAN, "ubuntu": UBUNTU, "fedora": FEDORA}
OTHER_RELEASES = {
    # 24.04 keeps the time with systemd-timesyncd; the version is of a report from there
    "ubuntu-24.04": replace(
        UBUNTU,
        os="ubuntu-24.04",
        installed=UBUNTU.installed - {"chrony"} | {"systemd-timesyncd"},
        enabled=frozenset({NETWORKD, "systemd-timesyncd.service"}),
        mesa="25.2.8-0ubuntu0.24.04.2",
    ),
    "fedora-44": replace(FEDORA, os="fedora-44", mesa="26.0.6-1.fc44"),  # the number has no transcript
}
"""Only where releases differ: the GPU's stack."""
