"""ROCm from a repository laid out as AMD's, on a real apt and a real dnf: what comes from it, and what never does.

The nodes are boxes here (`kernel: own`), so that what rocminfo and vulkaninfo say is judged as on a real one: the
repository's rocminfo names gfx1151 to whoever is in the group render, and a vulkaninfo put in place names RADV's GPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.spec import home
from roles.gpu.plan import KEYS, PIN, RECORD, SOURCES
from tests.lab.conftest import DEBIAN, FEDORA, UBUNTU
from tests.lab.harness import Lab, Run
from tests.sim.gpu import HEAD, RADV

WEIGHT = 2

SCRIPT = (Path(__file__).parent / "rocm_repository.py").read_text()
PORT = 8099
BOXES = (FEDORA, UBUNTU)
FOLDER = "/srv/amd"


@dataclass
class Amd:
    """The repositories below `url`; right, wrong: fingerprints of who signs `good`, and of who signs `forged`."""

    url: str
    right: str
    wrong: str


@pytest.fixture(scope="module")
def amd(shapes: Lab) -> Iterator[Amd]:
    """Served by one of the hosts."""
    made = f"cat >/srv/make.py <<'END'\n{SCRIPT}\nEND\nrm -rf {FOLDER}*; python3 /srv/make.py {FOLDER}"
    right, wrong = shapes.ssh(FEDORA, made).split()
    serve = f"python3 -m http.server {PORT} --directory {FOLDER}"
    shapes.ssh(FEDORA, f"systemd-run --quiet --unit=amd-repository {serve}; sleep 1")
    yield Amd(f"http://{shapes.addresses[FEDORA]}:{PORT}", right, wrong)
    shapes.ssh(FEDORA, f"systemctl stop amd-repository; rm -rf {FOLDER}* /srv/make.py")
    for fingerprint in (right, wrong):
        (home.home() / f"cache/keys/{fingerprint}.asc").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def boxes(shapes: Lab, amd: Amd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hosts as boxes on which base has run, so that the GPU's stack alone makes the difference."""
    found = Lab(tmp_path_factory.mktemp("boxes"), shapes.instance, shapes.addresses)
    found.inventory.write_text(shapes.inventory.read_text())
    file = yaml.safe_load(shapes.yml.read_text())
    nodes = {name: node for name, node in file["nodes"].items() if name in BOXES}
    ssh = {"key": str(shapes.home() / "labs/test/id_ed25519")}
    made = {
        "management": file["management"],
        "defaults": {"kernel": "own", "ssh": ssh},
        "nodes": nodes,
        "rocm": {"key": f"{amd.url}/right.asc", "fingerprint": amd.right},
        "models": {"tiny": {"random": "llama-spm"}},
        "serves": {name: {"model": "tiny", "controller": name} for name in nodes},
    }
    found.yml.write_text(yaml.safe_dump(made))
    radv = HEAD + RADV.format(number=0, name="STRIX_HALO", version="26.0.8")
    for name in BOXES:
        shapes.ssh(name, f"cat >/usr/local/bin/vulkaninfo <<'END'\n#!/bin/sh\ncat <<'E'\n{radv}E\nEND\n")
        shapes.ssh(name, "chmod +x /usr/local/bin/vulkaninfo")
    turn(found, amd, backend="cpu").ok()
    yield found
    for name in BOXES:
        shapes.ssh(name, "rm /usr/local/bin/vulkaninfo")


@pytest.fixture(scope="module")
def before(boxes: Lab) -> dict[str, list[str]]:
    """The boxes before any stack."""
    return {name: state(boxes, name) for name in BOXES}


def turn(
    lab: Lab, amd: Amd, *flags: str, repository: str = "good", only: tuple[str, ...] = BOXES, **defaults: Any
) -> Run:
    """A run with these words in lab.yml; `rocm` among them is joined with what is there."""
    file = yaml.safe_load(lab.yml.read_text())
    rocm = file["rocm"] | {"repository": f"{amd.url}/{repository}"} | defaults.pop("rocm", {})
    (lab.folder / "test.yml").write_text(yaml.safe_dump(file | {"rocm": rocm, "defaults": file["defaults"] | defaults}))
    try:
        limits = [word for name in only for word in ("--limit", name)]
        return lab.pyinfra("-y", "--json", *limits, *flags, str(lab.inventory), "tests/lab/gpu_only.py")
    finally:
        lab.yml.write_text(yaml.safe_dump(file))


STATE = r"""
if command -v dpkg-query >/dev/null; then
    dpkg-query -W -f 'package ${Package} ${Version} ${db:Status-Status}\n'
else
    rpm -qa --qf 'package %{NAME} %{EVR}\n'
    rpmkeys --list | sed 's/^/key /'
fi
find /etc -xdev -type f ! -name '*-' ! -path '*/ld.so.cache' ! -name .updated -print0 | sort -z | xargs -0 sha256sum
find /etc /opt -xdev -printf '%y %m %u %g %l %p\n' | grep -vE -- '-$'
ls -A /var/lib/halofleet | sed 's/^/halofleet /'
"""


def state(lab: Lab, host: str) -> list[str]:
    """Its packages, the keys that rpm knows, /etc with the groups' members, what is below /opt and what is recorded."""
    return sorted(lab.ssh(host, STATE).splitlines())


def as_before(lab: Lab, before: dict[str, list[str]], *hosts: str, tried: bool = False) -> None:
    """Nothing more, nothing less, and the host's package tool goes on. tried: to install, and failed; what an
    interrupted run may have left is then still on record, until a run takes it back."""
    for host in hosts or BOXES:
        now = set(state(lab, host)) - ({"halofleet gpu"} if tried else set())
        more, less = sorted(now - set(before[host])), sorted(set(before[host]) - now)
        assert (host, more, less) == (host, [], [])
        working = "apt-get update -qq -o APT::Update::Error-Mode=any" if host == UBUNTU else "dnf makecache --refresh"
        lab.ssh(host, working)


def versions(lab: Lab, host: str, *names: str) -> dict[str, str]:
    """Of those that are installed."""
    words = " ".join(f"'{name}'" for name in names)
    if host == UBUNTU:
        ask = f"dpkg-query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n' {words} 2>/dev/null"
        lines = lab.ssh(host, f"{ask} | sed -n 's/^installed //p'").splitlines()
    else:
        lines = lab.ssh(host, f"rpm -qa --qf '%{{NAME}} %{{VERSION}}\\n' {words}").splitlines()
    return dict(line.split() for line in lines)


# --- what comes from there


def test_rocm_comes_from_its_repository_and_the_gpu_is_seen(boxes: Lab, amd: Amd, before: dict[str, list[str]]) -> None:
    assert turn(boxes, amd, backend="rocm").ok().totals["success"] > 0
    key = boxes.ssh(FEDORA, f"cat {FOLDER}/right.asc").strip()
    for host, tool, path in ((UBUNTU, "apt", "ubuntu2604/"), (FEDORA, "dnf", "rhel10/x86_64")):
        assert f"{amd.url}/good/{path}\n" in boxes.ssh(host, f"cat {SOURCES[tool]}")
        assert boxes.ssh(host, f"cat {KEYS[tool]}").strip() == key
        assert boxes.ssh(host, "id -nG halofleet").split()[1:] == ["video", "render"]
        assert versions(boxes, host, "amdrocm*") == {
            "amdrocm10.0-gfx1151": "10.0.0",
            "amdrocm-base10.0": "10.0.0",
            "amdrocm-runtime10.0": "10.0.0",
        }
        assert set(versions(boxes, host, "libquadmath*", "libatomic*")) >= (
            {"libatomic1", "libquadmath0"} if tool == "apt" else {"libatomic", "libquadmath"}
        )
        assert "gfx1151" in boxes.ssh(host, "runuser -u halofleet -- /opt/rocm/core-10.0/bin/rocminfo")
        assert before[host] != state(boxes, host)
    policy = boxes.ssh(UBUNTU, "apt-cache policy amdrocm10.0-gfx1151")
    assert re.search(rf"\*\*\* 10\.0\.0 600\n\s+-1 {re.escape(amd.url)}/good/ubuntu2604 stable/main", policy), policy
    came = "dnf repoquery --installed --qf '%{name} %{from_repo}\\n' amdrocm10.0-gfx1151 libatomic make"
    assert sorted(boxes.ssh(FEDORA, came).splitlines()) == [
        "amdrocm10.0-gfx1151 halofleet-amdrocm",
        "libatomic fedora",
        "make fedora",
    ]


def test_running_it_again_changes_nothing(boxes: Lab, amd: Amd) -> None:
    now = [state(boxes, host) for host in BOXES]
    assert turn(boxes, amd, backend="rocm").ok().totals["success"] == 0
    assert [state(boxes, host) for host in BOXES] == now


def test_nothing_else_comes_from_its_repository(boxes: Lab) -> None:
    """A kernel module and a curl of version 99 are there for the taking."""
    for host in BOXES:
        assert versions(boxes, host, "amdgpu-dkms") == {}
        assert versions(boxes, host, "curl")["curl"] != "99"
    assert boxes.ssh(UBUNTU, f"grep -c 'Pin-Priority: -1' {PIN}").strip() == "1"
    assert "Candidate: (none)" in boxes.ssh(UBUNTU, "apt-cache policy amdgpu-dkms")
    assert "\n     99 -1\n" in boxes.ssh(UBUNTU, "apt-cache policy curl")  # seen, and not taken
    assert "curl" not in boxes.ssh(UBUNTU, "apt-get -s dist-upgrade")
    assert "no installation candidate" in boxes.ssh(UBUNTU, "LC_ALL=C apt-get install -y amdgpu-dkms 2>&1 || true")
    assert "curl" not in boxes.ssh(FEDORA, "dnf check-upgrade --refresh 2>&1; true")
    refused = boxes.ssh(FEDORA, "dnf install -y amdgpu-dkms 2>&1 || true")
    assert "Argument 'amdgpu-dkms' matches only excluded packages" in refused
    boxes.ssh(UBUNTU, f"mv {PIN} /root/pin")
    boxes.ssh(FEDORA, f"sed -i.away /includepkgs/d {SOURCES['dnf']}")
    try:  # without them they would be taken
        assert re.search(r"Inst curl .*\(99 ", boxes.ssh(UBUNTU, "apt-get -s dist-upgrade"))
        assert re.search(r"curl\S* +99-1", boxes.ssh(FEDORA, "dnf check-upgrade --refresh 2>&1; true"))
    finally:
        boxes.ssh(UBUNTU, f"mv /root/pin {PIN}")
        boxes.ssh(FEDORA, f"mv {SOURCES['dnf']}.away {SOURCES['dnf']}")


# --- another one


def test_another_series_is_beside_the_old_one_which_then_goes(boxes: Lab, amd: Amd) -> None:
    turn(boxes, amd, "--data", "steps=asked gpu", backend="rocm", rocm={"version": "10.1"}).ok()
    both = "/opt/rocm/core-10.0/bin/rocminfo && /opt/rocm/core-10.1/bin/rocminfo"
    for host in BOXES:
        boxes.ssh(host, f"runuser -u halofleet -- sh -c '{both}'")
    turn(boxes, amd, backend="rocm", rocm={"version": "10.1"}).ok()
    for host in BOXES:
        assert set(versions(boxes, host, "amdrocm*")) == {
            "amdrocm10.1-gfx1151",
            "amdrocm-base10.1",
            "amdrocm-runtime10.1",
        }
        assert boxes.ssh(host, "ls /opt/rocm").split() == ["core-10.1"]
    assert turn(boxes, amd, backend="rocm", rocm={"version": "10.1"}).ok().totals["success"] == 0


def test_another_gpu_does_not_do(boxes: Lab, amd: Amd) -> None:
    boxes.ssh(UBUNTU, "echo gfx1100 >/run/other-gfx")
    try:
        failed = turn(boxes, amd, backend="rocm", rocm={"version": "10.1"})
    finally:
        boxes.ssh(UBUNTU, "rm /run/other-gfx")
    assert failed.status == 1
    assert f"{UBUNTU}: rocminfo: gfx1100; expected: an agent gfx1151" in failed.err


def test_switching_leaves_no_remains(boxes: Lab, amd: Amd, before: dict[str, list[str]]) -> None:
    turn(boxes, amd, backend="vulkan").ok()
    for host in BOXES:
        assert versions(boxes, host, "amdrocm*") == {}
        assert set(versions(boxes, host, "mesa-vulkan-drivers", "vulkan-tools")) == {
            "mesa-vulkan-drivers",
            "vulkan-tools",
        }
        tool = "apt" if host == UBUNTU else "dnf"
        boxes.ssh(host, f"! ls {SOURCES[tool]} {KEYS[tool]} {PIN} 2>/dev/null")
        assert "package mesa-vulkan-drivers" in boxes.ssh(host, f"cat {RECORD}/record")
    turn(boxes, amd, backend="rocm").ok()
    turn(boxes, amd, backend="cpu").ok()
    as_before(boxes, before)


# --- bad input: the host goes on as before, and the message says what to do


def test_a_key_that_does_not_match_is_refused(boxes: Lab, amd: Amd, before: dict[str, list[str]]) -> None:
    refused = turn(boxes, amd, backend="rocm", rocm={"fingerprint": "A" * 40})
    assert refused.status == 2
    assert f"its key has the fingerprint {amd.right}; expected: {'A' * 40}; Nothing is installed with" in refused.err
    assert "write its fingerprint under rocm in lab.yml" in refused.err
    as_before(boxes, before)


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("forged", "is not signed by its key|could not be installed"),
        ("nothing", "does not answer as the package repository of {os}.*look whether the node reaches it"),
        ("lacking", "amdrocm10.0-gfx1151: not all of it is to be had for {os}.*take another backend or version"),
    ],
)
def test_a_repository_that_will_not_do(
    boxes: Lab, amd: Amd, before: dict[str, list[str]], repository: str, said: str
) -> None:
    failed = turn(boxes, amd, repository=repository, backend="rocm")
    assert failed.status == 1
    for host, os in ((FEDORA, "fedora-43"), (UBUNTU, "ubuntu-26.04")):
        heard = [line for line in failed.err.splitlines() if f"[{host}]" in line]
        assert [line for line in heard if re.search(said.format(os=os), line)], failed.err
    as_before(boxes, before, tried=True)
    turn(boxes, amd, backend="cpu").ok()
    as_before(boxes, before)


def test_the_pin_would_close_the_distributions_own_mirror(boxes: Lab, amd: Amd, before: dict[str, list[str]]) -> None:
    """A mirror's host that apt has other packages from, too."""
    file = "/etc/apt/sources.list.d/own.list"
    boxes.ssh(UBUNTU, f"echo 'deb [trusted=yes] {amd.url}/lacking/ubuntu2604 stable main' >{file}")
    try:
        refused = turn(boxes, amd, only=(UBUNTU,), backend="rocm")
        assert refused.status == 2
        assert f"also serves what {file} names" in refused.err
        assert "write `pin: false` under rocm in lab.yml" in refused.err
        turn(boxes, amd, "--data", "steps=asked", only=(UBUNTU,), backend="rocm", rocm={"pin": False}).ok()
    finally:
        boxes.ssh(UBUNTU, f"rm {file}; apt-get update -qq")
    as_before(boxes, before, UBUNTU)


def test_an_older_rocm_is_named(boxes: Lab, amd: Amd, before: dict[str, list[str]]) -> None:
    take = f"cd /root && curl -sSO {amd.url}/loose/rocm-core_7.2.4.70204_amd64.deb && dpkg -i rocm-core_*.deb"
    boxes.ssh(UBUNTU, take)
    boxes.ssh(FEDORA, f"rpm -i --nosignature {FOLDER}/loose/rocm-core-7.2.4.70204.rpm")
    try:
        refused = turn(boxes, amd, backend="rocm")
    finally:
        boxes.ssh(UBUNTU, "dpkg --purge rocm-core; rm /root/rocm-core_*.deb")
        boxes.ssh(FEDORA, "rpm -e rocm-core")
    assert refused.status == 2
    assert f"{UBUNTU}: older ROCm: rocm-core 7.2.4.70204; expected: no ROCm of before" in refused.err
    assert "apt-get purge rocm-core" in refused.err
    assert re.search(rf"{FEDORA}: older ROCm: rocm-core 7\.2\.4\.70204-1; .*dnf remove rocm-core", refused.err)
    as_before(boxes, before)


def test_a_release_without_rocm_names_the_nearest_and_an_old_mesa_the_way(boxes: Lab, amd: Amd) -> None:
    """Debian 13: AMD has no ROCm for it, and nobody a newer Mesa."""
    file = yaml.safe_load(boxes.yml.read_text())
    address = boxes.addresses[DEBIAN]
    nodes = {DEBIAN: {"id": 1, "address": address, "os": "debian-13"}}
    other = Lab(boxes.folder / "debian", boxes.instance, boxes.addresses)
    other.folder.mkdir()
    other.inventory.write_text(boxes.inventory.read_text())
    serves = {"chat": {"model": "tiny", "controller": DEBIAN}}
    other.yml.write_text(yaml.safe_dump(file | {"nodes": nodes, "serves": serves}))
    refused = turn(other, amd, only=(DEBIAN,), backend="rocm")
    assert refused.status == 2
    assert f"{DEBIAN}: backend rocm: debian-13; expected: a release with a GPU stack" in refused.err
    assert "install ubuntu-26.04 or fedora-44 there" in refused.err
    name = "mesa-vulkan-drivers_25.0.7_amd64.deb"
    other.ssh(DEBIAN, f"cd /root && curl -sSO {amd.url}/loose/{name} && dpkg -i {name}")
    try:
        told = turn(other, amd, "--data", "steps=asked", only=(DEBIAN,), backend="vulkan").ok()
    finally:
        other.ssh(DEBIAN, f"dpkg --purge mesa-vulkan-drivers; rm /root/{name}")
    assert "Mesa: mesa 25.0.7: older than the RADV that guides ask for" in told.err
    assert "a newer one: none: ubuntu-26.04 has 26.0" in told.err
