"""Hosts of other families: a stand-in for Fedora and one for Ubuntu 26.04 beside a Debian, booted and used for real."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import requests

from inventory.spec import home, load
from roles.doctor.look import Boxes
from roles.llama_cpp.plan import plan as release_plan
from tests.lab.conftest import DEBIAN, FEDORA, SYSTEMS, UBUNTU
from tests.lab.harness import ROOT, Lab, lend_release, own_releases
from tests.lab.scan import listen, scan

BUDGET = 20
"""Remote commands per host of a whole cluster.py that has nothing to do."""

RPC, API, OTHER = 50052, 50081, 50099
STOP_SECONDS = 10
"""TimeoutStopSec of the units."""


def test_they_are_what_the_inventory_says(shapes: Lab) -> None:
    for name, system in SYSTEMS.items():
        assert shapes.ssh(name, '. /etc/os-release; echo "$ID-$VERSION_ID"').strip() == system
        assert shapes.ssh(name, "systemctl --failed --no-legend --plain").split() == []
        assert shapes.ssh(name, "curl -sI http://deb.debian.org >/dev/null && echo out").strip() == "out"
    for name in (FEDORA, UBUNTU):
        assert "stand-in" in shapes.ssh(name, ". /etc/os-release; echo $PRETTY_NAME")


def test_running_it_again_changes_nothing(shapes: Lab) -> None:
    done = shapes.pyinfra("-y", "--json", "@local", "deploys/virtual_lab.py", "--data", f"lab={shapes.yml}").ok()
    assert done.totals["success"] == 0


# --- Fedora -----------------------------------------------------------------------------------------------------------


def test_dnf_installs_from_the_signed_repository_and_nothing_else_installs(shapes: Lab) -> None:
    assert (
        shapes.ssh(FEDORA, "for c in apt-get apt dpkg dpkg-query; do command -v $c || echo none; done").split()
        == ["none"] * 4
    )
    assert shapes.ssh(FEDORA, "command -v make || echo none").strip() == "none"
    shapes.ssh(FEDORA, "dnf install -y --setopt=install_weak_deps=False make")
    shapes.ssh(FEDORA, "make --version && rpm -q make")
    assert shapes.ssh(FEDORA, "rpm -q --whatprovides system-release --qf '%{VERSION}'").strip() == "43"
    shapes.ssh(FEDORA, "dnf remove -y make")
    assert shapes.ssh(FEDORA, "command -v make || echo none").strip() == "none"


FORGED = """
set -e
cd $(mktemp -d)
export GNUPGHOME=$PWD
gpg --batch --quiet --passphrase '' --quick-generate-key nobody rsa3072 sign never 2>/dev/null
mkdir forged
cp /srv/fedora-43/make.rpm forged/
rpmsign -D '_openpgp_sign gpg' -D '_gpg_name nobody' {sign} forged/make.rpm >/dev/null
createrepo_c --quiet forged
dnf install -y --repofrompath=forged,$PWD/forged --repo=forged --setopt=forged.gpgcheck=1 \
    --setopt=forged.gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43 make 2>&1 || true
rpm -q make || true
"""


@pytest.mark.parametrize("sign", ["--resign", "--delsign"])
def test_a_package_without_the_right_signature_is_refused(shapes: Lab, sign: str) -> None:
    said = shapes.ssh(FEDORA, FORGED.replace("{sign}", sign))
    assert "package make is not installed" in said
    assert re.search(r"[Ss]ignature|OpenPGP|GPG", said), said


def test_the_compiler_of_the_repository_compiles(shapes: Lab) -> None:
    shapes.ssh(FEDORA, "dnf install -y --setopt=install_weak_deps=False cmake gcc gcc-c++ make ninja-build")
    shapes.ssh(
        FEDORA,
        "cd $(mktemp -d) && echo '#include <thread>\nint main() { std::thread([] {}).join(); }' >a.cpp && "
        "printf 'cmake_minimum_required(VERSION 3.20)\nproject(a)\nadd_executable(a a.cpp)\n' >CMakeLists.txt && "
        "cmake -G Ninja -S . -B build && ninja -C build && strip build/a && build/a",
    )


MIRROR = """
set -e
cd $(mktemp -d)
mkdir -p mirror/releases/43/Everything/x86_64 mirror/updates/43/Everything/x86_64 tmp
ln -s /srv/fedora-43 mirror/releases/43/Everything/x86_64/os
createrepo_c --quiet mirror/updates/43/Everything/x86_64
python3 -m http.server 8099 --bind 127.0.0.1 --directory mirror >/dev/null 2>&1 &
trap "kill $!" EXIT
timeout 30 sh -c 'until ss -ltn | grep -q :8099; do sleep 0.1; done'
cat >tree.sh <<'END'
{script}
END
gpg --batch --quiet --homedir tmp --passphrase '' --quick-generate-key nobody rsa3072 sign never 2>/dev/null
gpg --batch --quiet --homedir tmp --armor --export >wrong.key
build="unshare --mount sh tree.sh $PWD/root.tar 43 x86_64 http://127.0.0.1:8099"
! TMPDIR=$(mktemp -d) $build $PWD/wrong.key fedora-release-workstation make >wrong.log 2>&1
[ ! -e root.tar ]
TMPDIR=$(mktemp -d) $build /etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43 fedora-release-workstation make >right.log 2>&1 || {
    tail -n 20 right.log >&2; exit 1; }
tar -tf root.tar | grep -E '^./usr/bin/make$|rpmdb.sqlite$'
"""


def test_a_fedora_from_a_mirror_is_made_of_signed_packages_alone(shapes: Lab) -> None:
    """The build of a real Fedora, run where dnf is: the stand-in's small repository, laid out as a mirror is."""
    script = (ROOT / "roles/virtual_host/machine/tree_fedora.sh").read_text()
    said = shapes.ssh(FEDORA, MIRROR.replace("{script}", script)).split()
    assert "./usr/bin/make" in said
    assert any(path.endswith("rpmdb.sqlite") for path in said)


def test_networkmanager_and_firewalld_are_fedoras(shapes: Lab) -> None:
    assert "host0:connected" in shapes.ssh(FEDORA, "nmcli -t -f DEVICE,STATE device").split()
    assert shapes.ssh(FEDORA, "systemctl is-active NetworkManager firewalld; true").split() == ["active", "active"]
    assert shapes.ssh(FEDORA, "systemctl is-active systemd-networkd; command -v networkctl; true").split() == [
        "inactive"
    ]
    for zone in ("--get-default-zone", "--get-zone-of-interface=host0"):
        assert shapes.ssh(FEDORA, f"firewall-cmd {zone}").strip() == "FedoraWorkstation"
    ports = shapes.ssh(FEDORA, "firewall-cmd --list-ports").split()
    assert sorted(ports) == ["1025-65535/tcp", "1025-65535/udp"]
    rules = shapes.ssh(FEDORA, "nft list ruleset")
    assert "tcp dport 1025-65535 accept" in rules


def test_a_service_that_does_not_stop_gets_sigabrt(shapes: Lab) -> None:
    """Fedora's service.d/10-timeout-abort.conf is in force."""
    said = shapes.ssh(
        FEDORA,
        'systemd-run --quiet --unit=stubborn -p TimeoutStopSec=1 sh -c \'trap "" TERM; '
        "touch /run/stubborn; while :; do sleep 1; done'; "
        "timeout 30 sh -c 'until [ -e /run/stubborn ]; do sleep 0.1; done'; "
        "systemctl stop stubborn 2>/dev/null; journalctl --sync; journalctl -u stubborn --no-pager -o cat",
    )
    assert "SIGABRT" in said


# --- Ubuntu 26.04 -----------------------------------------------------------------------------------------------------


def test_ubuntu_has_uutils_sudo_rs_dracut_and_netplan(shapes: Lab) -> None:
    assert "uutils" in shapes.ssh(UBUNTU, "cp --version")
    assert "uutils" in shapes.ssh(UBUNTU, "/usr/bin/env --version")
    assert "sudo-rs" in shapes.ssh(UBUNTU, "sudo --version 2>&1")
    assert shapes.ssh(UBUNTU, "sudo -n -u nobody id -un").strip() == "nobody"
    # dracut's own way to be called as scripts call initramfs-tools
    assert shapes.ssh(UBUNTU, "dpkg -S $(command -v update-initramfs)").split(":")[0] == "dracut"
    assert shapes.addresses[UBUNTU] in shapes.ssh(UBUNTU, "netplan get ethernets.host0.addresses")
    assert "netplan-host0" in shapes.ssh(UBUNTU, "networkctl status host0")


def test_apt_goes_on_working_above_the_diversions(shapes: Lab) -> None:
    shapes.ssh(UBUNTU, "apt-get update -qq && apt-get install -y -qq --reinstall coreutils sudo >/dev/null")
    assert "uutils" in shapes.ssh(UBUNTU, "cp --version")
    assert "sudo-rs" in shapes.ssh(UBUNTU, "sudo --version 2>&1")


def test_every_family_says_the_same_of_itself(shapes: Lab) -> None:
    """The doctor's script, which looks with nearly every tool there is, answers in every family's words alike."""
    script = "\n".join(str(Boxes().command()).splitlines())
    kinds = {}
    for name in SYSTEMS:
        lines = shapes.ssh(name, script).splitlines()
        kinds[name] = {line.split(" ", 1)[0] for line in lines if not line.startswith(("dmesg", "package"))}
    assert kinds[DEBIAN] - kinds[UBUNTU] <= {"unread"}
    assert kinds[DEBIAN] - kinds[FEDORA] <= {"unread"}


# --- the cluster on all of them ---------------------------------------------------------------------------------------


def lend(lab: Lab) -> None:
    """Each family's release is one of its own, and compiling one takes 8 CPU-minutes. The stand-ins get the binaries
    that Debian 13 compiled, which run on the newer libraries that they have: what is tested is all but the compiler,
    and of that test_the_compiler_of_the_repository_compiles."""
    known = load(lab.yml)
    debian, *others = (release for name in SYSTEMS for release in release_plan(known, name))
    shared, own = home.cache("releases"), own_releases(lab.home())
    built = shared / f"{debian.id}.tar.gz"
    if not built.exists():
        lab.pyinfra("-y", "--limit", DEBIAN, str(lab.inventory), "tests/lab/build_only.py").ok()
        built = own / built.name
    for release in (debian, *others):
        lend_release(built, {"id": release.id, "os": release.os}, own / f"{release.id}.tar.gz")


def answers_through_both(shapes: Lab) -> None:
    """A completion of `chat`, whose workers are of both families."""
    key = (shapes.home() / "labs/test/chat.key").read_text().strip()
    reply = requests.post(
        f"http://{shapes.addresses[DEBIAN]}:8080/v1/completions",
        headers={"Authorization": f"Bearer {key}"},
        json={"prompt": "Once", "max_tokens": 8},
        timeout=60,
    )
    assert reply.json()["usage"]["completion_tokens"] > 0
    for worker in (FEDORA, UBUNTU):  # the controller's connections, seen from the worker
        assert shapes.ssh(worker, "ss -tnH state established '( sport = :50052 )'").strip()


def test_the_cluster_converges_on_all_three_and_answers(shapes: Lab) -> None:
    lend(shapes)
    run = shapes.cluster().ok()
    ready = (f"{shapes.addresses[DEBIAN]}:8080", f"{shapes.addresses[FEDORA]}:{API}")
    assert run.out.splitlines()[-2:] == [f"ready: http://{end}/v1" for end in ready]
    answers_through_both(shapes)


def test_a_second_run_changes_nothing_within_its_budget(shapes: Lab, tmp_path: Path) -> None:
    before = shapes.fingerprint()
    run = shapes.cluster("--json", trace=tmp_path / "trace").ok()
    print("remote commands:", dict(run.commands))
    assert (run.totals["success"], run.totals["error"]) == (0, 0)
    assert shapes.fingerprint() == before
    assert set(run.commands) == set(SYSTEMS)
    assert max(run.commands.values()) <= BUDGET, (tmp_path / "trace").read_text()


def test_the_guards_see_what_they_look_after(shapes: Lab) -> None:
    """By each one's own systemctl, ss and journalctl, of three families."""
    deadline = time.monotonic() + 30
    while True:
        said = {name: json.loads(shapes.ssh(name, "cat /run/halofleet/guard.json")) for name in SYSTEMS}
        seen = {(name, unit["state"], unit["note"]) for name, state in said.items() for unit in state["units"]}
        if seen == {(name, "well", "") for name in SYSTEMS} or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert seen == {(name, "well", "") for name in SYSTEMS}, said
    assert [state["trouble"] for state in said.values()] == ["", "", ""]


def test_the_fedora_is_closed_although_its_zone_is_open(shapes: Lab) -> None:
    """The zone lets 1025-65535 in. Through get the controller to the RPC port and this machine to the API, and nobody
    else, over no wire, IPv4 or IPv6; at another port everybody does, so the scan sees what is open."""
    (way,) = (way for way in load(shapes.yml).ways("chat") if way.into.node == FEDORA)
    shapes.ssh(FEDORA, "systemctl stop halofleet-rpc-server halofleet-server-own")
    listen(shapes, FEDORA, (RPC, API, OTHER))
    found = scan(shapes, (RPC, API, OTHER), [FEDORA])
    shapes.ssh(FEDORA, "systemctl stop listen; systemctl start halofleet-rpc-server halofleet-server-own")
    shapes.cluster().ok()
    assert {entry for entry in found if entry[3] != OTHER} == {
        (DEBIAN, FEDORA, str(way.destination), RPC),
        ("here", FEDORA, shapes.addresses[FEDORA], API),
    }
    others = {(caller, "%" in address) for caller, _, address, port in found if port == OTHER}
    assert others == {("here", False), *((peer, ipv6) for peer in (DEBIAN, UBUNTU) for ipv6 in (False, True))}


def main_pid(lab: Lab, node: str, unit: str) -> str:
    return lab.ssh(node, f"systemctl show -p MainPID --value {unit}").strip()


def stopped_without_a_core(lab: Lab, node: str, unit: str) -> str:
    """The unit is stopped, which may not take longer than its limit, and started; the journal of the run that ended."""
    pid = main_pid(lab, node, unit)
    run = lab.ssh(node, f"systemctl show -p InvocationID --value {unit}; touch /run/before").strip()
    began = time.monotonic()
    lab.ssh(node, f"systemctl stop {unit}")
    assert time.monotonic() - began < STOP_SECONDS + 10
    assert main_pid(lab, node, unit) == "0" != pid
    lab.ssh(node, f"systemctl start --no-block {unit}")  # a server may have to wait for its workers
    assert lab.ssh(node, "find / -xdev -type f -name 'core*' -newer /run/before").split() == []
    assert lab.ssh(node, f"systemctl show -p LimitCORE --value {unit}").strip() == "0"
    said = lab.ssh(node, f"journalctl -q --no-pager -o cat _SYSTEMD_INVOCATION_ID={run} + INVOCATION_ID={run}")
    assert "SIGABRT" not in said
    return said


def test_a_frozen_worker_on_the_fedora_leaves_no_core(shapes: Lab) -> None:
    shapes.ssh(FEDORA, f"kill -STOP {main_pid(shapes, FEDORA, 'halofleet-rpc-server')}")
    stopped_without_a_core(shapes, FEDORA, "halofleet-rpc-server")


def test_a_server_that_hangs_on_the_fedora_is_killed_and_leaves_no_core(shapes: Lab) -> None:
    """Its worker is frozen in the middle of a completion, and then it does not listen to SIGTERM. Without the guards,
    who would end that."""
    shapes.cluster().ok()
    for host in (DEBIAN, FEDORA):
        shapes.ssh(host, "systemctl stop halofleet-guard")
    shapes.ssh(DEBIAN, f"kill -STOP {main_pid(shapes, DEBIAN, 'halofleet-rpc-server')}")
    shapes.ssh(
        FEDORA,
        f'curl -s -m 2 -H "Authorization: Bearer $(cat /etc/halofleet/own.key)" -d \'{{"prompt": "Once"}}\' '
        f"http://{shapes.addresses[FEDORA]}:{API}/v1/completions; [ $? = 28 ]",
    )
    said = stopped_without_a_core(shapes, FEDORA, "halofleet-server-own")
    assert "status=9/KILL" in said
    shapes.ssh(DEBIAN, "systemctl restart halofleet-rpc-server")
    shapes.cluster().ok()
