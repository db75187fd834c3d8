"""base: packages, the service user, the clock, directories."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roles.lib.packages import PATIENTLY
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.shell import Call, Reply

Stages = Callable[..., Stage]

USER = ("service user and clock", ["useradd -d /var/lib/halofleet -s /usr/sbin/nologin -r -M halofleet"])
DIRECTORIES = (
    "directories",
    [
        "directory /etc/halofleet 755 root:root",
        # /var/lib/halofleet is there since the job of the packages
        "directory /var/lib/halofleet/incoming 700 root:root",
        "directory /var/lib/halofleet/models 755 root:root",
        "directory /var/lib/halofleet/builds 755 root:root",
        "directory /opt/halofleet 755 root:root",
        "directory /opt/halofleet/lib 755 root:root",
        "directory /opt/halofleet/llama.cpp 755 root:root",
        "directory /opt/halofleet/llama.cpp/releases 755 root:root",
        "directory /etc/systemd/system/halofleet-.service.d 755 root:root",
        "write /etc/systemd/system/halofleet-.service.d/90-halofleet.conf 644 root:root",
    ],
)
APT = f"job packages:\nset -e\n{PATIENTLY}" + (
    "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1\npatiently dpkg --configure -a\n"
    "patiently apt-get update -qq\n"
    "apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 NAMES\n"
)
DNF = f"job packages:\nset -e\n{PATIENTLY}patiently dnf install -y --setopt=install_weak_deps=False NAMES\n"
PACKAGES = {
    "debian": APT.replace("NAMES", "iperf3 iputils-arping libgomp1 nftables python3"),
    "ubuntu": APT.replace("NAMES", "iperf3 iputils-arping libgomp1 nftables"),
    "fedora": DNF.replace("NAMES", "diffutils findutils gzip iperf3 nftables tar"),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_fresh_host(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("base")
    assert stage.run("base", sim).commands == [("packages", [PACKAGES[flavour]]), USER, DIRECTORIES]
    assert sim.text("/etc/passwd").splitlines()[-1] == "halofleet:x:990:990::/var/lib/halofleet:/usr/sbin/nologin"
    if sim.flavour.selinux:
        assert "/var/lib/halofleet/incoming" in sim.files.relabelled


def test_a_host_without_a_time_service_gets_one(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    stage.change(nodes__halo1__kernel="own")
    sim = stage.before("base")
    run = stage.run("base", sim)
    assert run.commands[1] == (
        USER[0],
        [
            *USER[1],
            APT.replace("NAMES", "systemd-timesyncd"),
            "systemctl enable --now --quiet systemd-timesyncd.service",
        ],
    )
    assert stage.run("base", sim).flat == []


def test_a_container_keeps_no_time(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("base")
    stage.run("base", sim)
    assert "systemd-timesyncd" not in sim.packages.installed


def test_uploads_arrive_in_a_directory_of_the_login_user(stages: Stages) -> None:
    stage = stages("fedora", "halo1", "box")
    sim = stage.before("base")
    assert "directory /var/lib/halofleet/incoming 700 box:root" in stage.run("base", sim).flat


def test_only_what_drifted_is_repaired(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("network")
    sim.files.real("/var/lib/halofleet/incoming").chmod(0o777)
    sim.packages.installed.remove("nftables")
    assert stage.run("base", sim).flat == [
        APT.replace("NAMES", "nftables"),
        "directory /var/lib/halofleet/incoming 700 root:root",
    ]


@pytest.mark.parametrize(("tries", "arrives"), [(59, True), (60, False)])
@pytest.mark.parametrize(("flavour", "what"), [("debian", "locked"), ("ubuntu", "busy"), ("fedora", "busy")])
def test_another_one_that_installs_packages_is_waited_for_ten_minutes(
    stages: Stages, flavour: str, what: str, tries: int, arrives: bool
) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("base")
    setattr(sim.packages, what, tries)
    assert stage.run("base", sim, dies_after=99).ended is arrives
    assert ("nftables" in sim.packages.installed) is arrives
    assert getattr(sim.packages, what) == 0
    assert stage.run("base", sim).ended
    assert stage.run("base", sim).flat == []


@pytest.mark.parametrize("flavour", ["ubuntu", "fedora"])
def test_another_failure_is_no_reason_to_wait(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("base")
    program = "apt-get" if flavour == "ubuntu" else "dnf"
    asked: list[tuple[str, ...]] = []

    def fails(call: Call) -> Reply:
        asked.append(call.words)
        return Reply(stderr="E: The repository 'http://x y Release' does not have a Release file.\n", status=100)

    sim.programs[program] = fails
    assert not stage.run("base", sim, dies_after=99).ended
    assert len(asked) == 1


def test_packages_come_though_an_apt_was_killed_half_way(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("base")
    sim.packages.half_way = True
    assert stage.run("base", sim).ended
