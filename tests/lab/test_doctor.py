"""The doctor on three booted hosts with ten planted faults: all are found, nothing else is, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roles.quiet import plan as quiet
from tests.lab.harness import Lab, Run

DEB = (
    "d=$(mktemp -d) && mkdir -p $d/DEBIAN && printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\n"
    "Maintainer: nobody <nobody@localhost>\\nDescription: planted\\n' >$d/DEBIAN/control && "
    "dpkg-deb -b $d $d.deb >/dev/null && dpkg -i $d.deb >/dev/null && rm -r $d $d.deb"
)
GRUB_DEFAULT = "/etc/default/grub"
GRUB_GUIDE = "/etc/default/grub.d/50-guide.cfg"
ICD = "/etc/vulkan/icd.d"
TARGETS = " ".join(quiet.TARGETS)

# Host, rule, how it is planted, how it is taken away. None may be there before.
FAULTS = (
    ("halo1", "amd_iommu=pt",
     f"""echo 'GRUB_CMDLINE_LINUX_DEFAULT="quiet amd_iommu=pt"' >{GRUB_DEFAULT}""", f"rm {GRUB_DEFAULT}"),
    ("halo1", "gttsize and pages_limit",
     "mkdir -p /etc/default/grub.d && echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT "
     f"amdgpu.gttsize=1024 ttm.pages_limit=262144\"' >{GRUB_GUIDE}", f"rm {GRUB_GUIDE}"),
    ("halo1", "kernel/cmdline without root",
     "mkdir -p /etc/kernel && echo quiet >/etc/kernel/cmdline", "rm /etc/kernel/cmdline"),
    ("halo1", "HSA_OVERRIDE_GFX_VERSION",
     "echo HSA_OVERRIDE_GFX_VERSION=11.0.0 >/etc/profile.d/guide.sh", "rm /etc/profile.d/guide.sh"),
    ("halo2", "RPC port open",
     "systemd-run --quiet --unit=planted --socket-property=ListenStream=0.0.0.0:50053 true",
     "systemctl stop planted.socket"),
    ("halo2", "AMDVLK", f"mkdir -p {ICD} && echo '{{}}' >{ICD}/amd_icd64.json", f"rm {ICD}/amd_icd64.json"),
    ("halo2", "amdgpu-dkms", DEB.format(name="amdgpu-dkms", version="1:6.16.6-2255209"), "dpkg -P amdgpu-dkms"),
    ("halo3", "tuned", "mkdir -p /etc/tuned && echo balanced >/etc/tuned/active_profile", "rm -r /etc/tuned"),
    ("halo3", "Mesa", DEB.format(name="mesa-vulkan-drivers", version="25.0.7-2"), "dpkg -P mesa-vulkan-drivers"),
    # Where cluster.py has been, sleep is masked, and there is nothing to find.
    ("halo3", "GNOME suspends the box",
     f"systemctl unmask {TARGETS} && " + DEB.format(name="gnome-shell", version="48.4-1"),
     f"dpkg -P gnome-shell; systemctl mask {TARGETS}"),
)  # fmt: skip

STOPS = {"kernel/cmdline without root", "RPC port open", "amdgpu-dkms"}
GUEST = "doctor-guest"
TREE = (
    # What a login itself writes is left out: logs, lastlog, sessions.
    "{ find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /var/log -o -path "
    "/var/lib/systemd/timers -o -path /var/lib/lastlog -o -path /var/lib/wtmpdb \\) -prune -o "
    "-printf '%p %y %m %u %g %s %l %T@\\n' | sort; "
    "find /etc /opt /root /home /boot /usr/local -xdev -type f -print0 | sort -z | xargs -0 sha256sum; "
    "systemctl list-units --all --no-legend --no-pager --plain --type=service,socket,target | "
    "grep -v '^user\\|^run-\\|^systemd-.*@' | awk '{print $1, $4}'; "
    "sysctl -a 2>/dev/null | grep '^vm[.]\\(swappiness\\|dirty\\)'; }"
)


def trees(lab: Lab) -> dict[str, list[str]]:
    return {host: lab.ssh(host, TREE).splitlines() for host in lab.addresses}


def found(run: Run) -> list[tuple[str, str]]:
    findings: list[dict[str, Any]] = json.loads(run.out)["findings"]
    return sorted((finding["node"], finding["rule"]) for finding in findings)


@pytest.fixture(scope="module")
def planted(lab: Lab) -> Iterator[Lab]:
    before = lab.pyinfra("-y", "--json", str(lab.inventory), "deploys/preflight.py").ok()
    assert found(before) == []
    for host in lab.addresses:
        lab.ssh(
            host,
            f"useradd -m {GUEST} && cp -r /root/.ssh ~{GUEST}/ && chown -R {GUEST}: ~{GUEST}/.ssh",
        )
    for host, _, plant, _ in FAULTS:
        lab.ssh(host, plant)
    yield lab
    for host, _, _, remove in FAULTS:
        lab.ssh(host, remove)
    for host in lab.addresses:
        lab.ssh(host, f"userdel -r {GUEST} 2>/dev/null")


def test_ten_faults_give_ten_findings_in_one_command_a_host(planted: Lab, tmp_path: Path) -> None:
    before = trees(planted)
    run = planted.pyinfra(
        "-y", "--json", str(planted.inventory), "deploys/preflight.py", trace=tmp_path / "trace"
    )  # fmt: skip
    after = trees(planted)
    assert run.status == 1
    assert found(run) == sorted((host, rule) for host, rule, _, _ in FAULTS)
    assert run.commands == dict.fromkeys(planted.addresses, 1)
    assert {host: set(before[host]) ^ set(after[host]) for host in before} == {host: set() for host in before}
    assert {x["rule"] for x in json.loads(run.out)["findings"] if x["severity"] == "stop"} == STOPS


def bare(lab: Lab, user: str, *options: str) -> Run:
    """The hosts as boxes that know nothing of us: pyinfra's own SSH connector, no inventory, no sudo."""
    known_hosts = lab.home() / "labs/test/known_hosts"
    ssh = ("--ssh-user", user, "--ssh-key", str(lab.home() / "labs/test/id_ed25519"))
    data = ("--data", f"ssh_known_hosts_file={known_hosts}", *options)
    return lab.pyinfra("-y", *ssh, *data, ",".join(lab.addresses.values()), "deploys/preflight.py")


@pytest.mark.parametrize("user", ["root", GUEST])
def test_bare_names_and_no_root(planted: Lab, user: str) -> None:
    before = trees(planted)
    run = bare(planted, user, "--json")
    names = {address: host for host, address in planted.addresses.items()}
    assert run.status == 1
    assert [(names[node], rule) for node, rule in found(run)] == sorted((host, rule) for host, rule, _, _ in FAULTS)
    after = trees(planted)
    assert {host: set(before[host]) ^ set(after[host]) for host in before} == {host: set() for host in before}


def test_a_redacted_report_names_nobody(planted: Lab) -> None:
    run = bare(planted, "root", "--data", "redact=yes")
    assert run.status == 1
    assert "3 boxes: 3 stop, 7 warn, 0 ok" in run.out
    for host, address in planted.addresses.items():
        assert host not in run.out
        assert address not in run.out


def test_a_limit_looks_at_no_other(planted: Lab, tmp_path: Path) -> None:
    arguments = ("-y", "--limit", "halo3", str(planted.inventory), "deploys/preflight.py")
    run = planted.pyinfra(*arguments, trace=tmp_path / "trace").ok()  # its three findings are all of severity warn
    assert run.commands == {"halo3": 1}
    assert run.out.startswith("halo3: ")
    assert run.out.endswith("1 box: 0 stop, 3 warn, 0 ok\n")
