"""The GPU's stack: what it is made of, what stands against it, what its key is. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from inventory.spec import load
from inventory.spec import rocm as known_rocm
from inventory.spec.language.sources import Rocm as Said
from roles.doctor import gate, versions
from roles.gpu import change, judge, key
from roles.gpu.facts import GpuStates, Seen
from roles.gpu.plan import Gpu, build_packages, data, environment, inert, packages, plan, rocm, source
from roles.lib.stop import Failed
from tests.keys import FINGERPRINT, KEY, OTHER, OTHER_FINGERPRINT
from tests.sim.gpu import AMDVLK, HEAD, LLVMPIPE, NO_KFD, RADV, ROCMINFO

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "inventory/examples"


def gpu(os: str = "ubuntu-26.04", *backends: str, own: bool = True) -> Gpu:
    return Gpu("halo1", os, own, backends or ("vulkan",), rocm(Said()))


# --- data


def test_every_entry_has_its_source() -> None:
    known = data()
    entries = [*known["releases"].values(), *known["packages"].values(), *known["build"].values(), known["rocm"]]
    entries += [known["amdvlk"], known["groups"], known["older_rocm"]]
    assert all(entry["sources"] for entry in entries)
    assert known["environment_sources"]
    assert all(entry["what"] and entry["why"] for entry in known["unconfirmed"])


def test_the_readme_names_all_that_is_unconfirmed() -> None:
    _, _, text = (ROOT / "README.md").read_text().partition("**What nobody has run yet:**")
    listed = re.findall(r"(?m)^- (.*)$", text.partition("**What is not there yet:**")[0])
    assert listed == [entry["what"] for entry in data()["unconfirmed"]]


def test_no_release_has_a_good_rocm_of_its_own() -> None:
    """Else it would do, and AMD's repository would not be needed."""
    ranges = gate.data()["rocm"]
    for name, entry in data()["releases"].items():
        if version := entry.get("rocm_of_its_own"):
            fits = [row for row in ranges if versions.within(str(version), row["range"], "upstream")]
            assert [row["fixed"] for row in fits] == ["stop"], name


def test_the_default_rocm_is_in_no_bad_range() -> None:
    for version in known_rocm.known():
        rows = [row for row in gate.data()["rocm"] if versions.within(version, row["range"], "upstream")]
        assert all(row["fixed"] == "ok" for row in rows)
    assert known_rocm.data()["version"] in known_rocm.known()
    assert known_rocm.data()["sources"]


def test_packages_by_tool_and_series() -> None:
    both = packages(gpu("fedora-44", "vulkan", "rocm"))
    assert both["dnf"][:3] == ("vulkan-loader", "mesa-vulkan-drivers", "/usr/bin/vulkaninfo")
    assert both["dnf"][-1] == "amdrocm10.0-gfx1151"
    assert packages(gpu("fedora-44", "cpu")) == {"apt": (), "dnf": ()}
    assert build_packages("rocm", "10.0") == {
        "apt": ("amdrocm-core-dev10.0-gfx1151",),
        "dnf": ("amdrocm-core-devel10.0-gfx1151",),
    }
    assert build_packages("rocm", "10.1")["apt"] == ("amdrocm-core-dev10.1-gfx1151",)
    assert build_packages("vulkan")["apt"] == ("glslc", "libvulkan-dev", "spirv-headers")
    assert build_packages("cpu") == {"apt": (), "dnf": ()}


def test_no_name_of_a_package_is_a_kernel_module() -> None:
    assert "dkms" not in str([data()["packages"], data()["build"]])


def test_what_units_get() -> None:
    assert environment("cpu") == {}
    assert environment("vulkan") == {"AMD_VULKAN_ICD": "RADV"}
    assert environment("rocm", "10.1")["LD_LIBRARY_PATH"].startswith("/opt/rocm/core-10.1/lib:")
    assert not any("{" in value for value in environment("rocm", "10.1").values())


def test_the_plan_of_a_lab() -> None:
    lab = load(EXAMPLES / "mixed.yml")
    assert plan(lab, "rack1") == gpu("ubuntu-26.04", "vulkan").__class__(
        "rack1", "ubuntu-26.04", True, ("vulkan",), rocm(Said())
    )
    assert plan(lab, "desk1").stacks == ("vulkan",)


def test_a_mirror() -> None:
    said = Said(repository="http://10.0.0.1:99/rocm/", pin=False)
    other = replace(gpu("ubuntu-24.04", "rocm"), rocm=rocm(said))
    assert other.rocm.fingerprint == known_rocm.data()["fingerprint"]
    found = source(other, "apt")
    assert found is not None
    assert "URIs: http://10.0.0.1:99/rocm/ubuntu2404/\n" in found.content
    assert [file.path for file in inert(other, "apt", KEY)] == ["/etc/apt/keyrings/halofleet-amdrocm.asc"]


# --- the key


def test_fingerprints_as_gpg_tells_them() -> None:
    assert key.fingerprints(KEY) == [FINGERPRINT]
    assert key.fingerprints(OTHER) == [OTHER_FINGERPRINT]
    assert key.fits(KEY, FINGERPRINT)


def test_a_bare_key_is_put_in_armor() -> None:
    body = re.search(r"\n\n(.*)\n=", KEY, re.S)
    assert body
    raw = base64.b64decode(body[1])
    assert key.fingerprints(key.armored(raw)) == [FINGERPRINT]


@pytest.mark.parametrize("text", [KEY + OTHER, OTHER, "", "<html>404</html>", KEY.replace("mDME", "xDME"), KEY[:200]])
def test_what_is_not_this_key_alone_does_not_fit(text: str) -> None:
    """A second key beside it would be believed as well."""
    assert not key.fits(text, FINGERPRINT)


@pytest.mark.parametrize("length", [10, 300, 9000])
def test_packets_of_the_newer_form(length: int) -> None:
    body = b"\x04" + b"x" * (length - 1)
    prefix = {
        10: bytes([10]),
        300: bytes([(300 - 192 >> 8) + 192, 300 - 192 & 255]),
        9000: b"\xff" + (9000).to_bytes(4, "big"),
    }
    text = key.armored(bytes([0xC6]) + prefix[length] + body)
    wanted = hashlib.sha1(b"\x99" + length.to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
    assert key.fingerprints(text) == [wanted]


class _Web(BaseHTTPRequestHandler):
    answers: dict[str, str] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        text = self.answers.get(self.path)
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


def test_the_key_is_fetched_once_and_checked_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOFLEET_HOME", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    _Web.answers, _Web.asked = {"/key": KEY, "/other": OTHER, "/both": KEY + OTHER}, []
    try:
        for path in ("/other", "/both"):
            with pytest.raises(Failed, match=f"{OTHER_FINGERPRINT}; expected: {FINGERPRINT}"):
                key.fetch(f"{url}{path}", FINGERPRINT)
        with pytest.raises(Failed, match="404"):
            key.fetch(f"{url}/nothing", FINGERPRINT)
        assert not list((tmp_path / "cache").rglob("*.asc"))
        assert key.fetch(f"{url}/key", FINGERPRINT) == key.fetch(f"{url}/key", FINGERPRINT) == KEY
        assert _Web.asked.count("/key") == 1
        (tmp_path / f"cache/keys/{FINGERPRINT}.asc").write_text(OTHER)  # a cache that was tampered with
        assert key.fetch(f"{url}/key", FINGERPRINT) == KEY
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(Failed, match="Look whether this machine reaches it"):
        key.fetch(f"{url}/key", OTHER_FINGERPRINT)


# --- what stands against it


@pytest.mark.parametrize(
    ("os", "stack", "advice"),
    [
        ("fedora-42", "rocm", "fedora-43"),
        ("fedora-45", "rocm", "fedora-44"),
        ("ubuntu-25.10", "rocm", "ubuntu-26.04"),
        ("ubuntu-22.04", "vulkan", "ubuntu-24.04"),
        ("debian-13", "rocm", "ubuntu-26.04 or fedora-44"),
        ("debian-12", "vulkan", "debian-13"),
        ("arch-rolling", "vulkan", "ubuntu-26.04 or fedora-44"),
    ],
)
def test_a_release_without_a_stack_names_the_nearest(os: str, stack: str, advice: str) -> None:
    (found,) = judge.against(gpu(os, stack), Seen())
    assert found.severity == "stop"
    assert found.fix == f"install {advice} there, or take another backend"
    assert found.seen == os


def test_a_mirror_beside_the_distributions_own_is_not_closed_by_the_pin() -> None:
    node = replace(gpu("ubuntu-26.04", "rocm"), rocm=rocm(Said(repository="https://mirror.lan/rocm")))
    seen = Seen(tool="apt", neighbours=("/etc/apt/sources.list.d/ubuntu.sources",))
    (found,) = judge.against(node, seen)
    assert found.severity == "stop"
    assert found.seen == "mirror.lan also serves what /etc/apt/sources.list.d/ubuntu.sources names"
    assert "`pin: false`" in found.fix
    assert judge.against(replace(node, rocm=replace(node.rocm, pin=False)), seen) == []


@pytest.mark.parametrize(
    ("os", "version", "way"),
    [
        ("ubuntu-24.04", "25.2.8-0ubuntu0.24.04.2", "ppa:kisak/kisak-mesa"),
        ("fedora-43", "25.2.7-1.fc43", "dnf upgrade --refresh"),
        ("debian-13", "25.0.7-2+deb13u1", "none: ubuntu-26.04 has 26.0"),
    ],
)
def test_an_old_mesa_names_the_way_to_a_newer_one(os: str, version: str, way: str) -> None:
    seen = Seen(os=os, tool="apt", packages={"mesa-vulkan-drivers": version})
    (found,) = judge.against(gpu(os), seen)
    assert (found.severity, found.expected) == ("warn", "not <25.3")
    assert way in found.fix
    assert judge.against(gpu(os, own=False), seen) == []


def test_a_mesa_that_must_not_be_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's data only warns of an old one; where it stops, the stack does not fit."""
    bad = [entry | {"severity": "stop"} for entry in gate.data()["versions"] if entry["package"] == "mesa"]
    monkeypatch.setattr(gate, "data", lambda: {"versions": bad})
    seen = Seen(os="debian-13", tool="apt", packages={"mesa-vulkan-drivers": "25.0.7-2"}, vulkan=lines(RADV))
    (found,) = judge.unfit(gpu("debian-13"), seen)
    assert "none: ubuntu-26.04 has 26.0" in str(found)


@pytest.mark.parametrize(
    ("seen", "fix"),
    [
        (Seen(tool="apt", packages={"rocm-core": "7.2.4.70204"}), "amdgpu-install --uninstall"),
        (Seen(tool="dnf", packages={"rocm-core": "7.2.4"}), "dnf remove rocm-core"),
        (Seen(tool="apt", rocm_link="/etc/alternatives/rocm"), "rm /opt/rocm"),
        (
            Seen(tool="apt", sources=("/etc/apt/sources.list.d/amdrocm-stable.sources",)),
            "rm /etc/apt/sources.list.d/amd",
        ),
    ],
)
def test_an_older_rocm_is_named(seen: Seen, fix: str) -> None:
    (found,) = judge.against(gpu("ubuntu-26.04", "rocm"), seen)
    assert found.severity == "stop"
    assert fix in found.fix
    assert judge.against(gpu("ubuntu-26.04", "vulkan"), seen) == []


def test_rocm_beside_another_series_of_the_new_kind_is_fine() -> None:
    assert judge.against(gpu("ubuntu-26.04", "rocm"), Seen(tool="apt", rocm_link="core-10.0")) == []


@pytest.mark.parametrize("stack", ["vulkan", "rocm"])
def test_a_kernel_module_of_amds_stops_both(stack: str) -> None:
    seen = Seen(os="ubuntu-24.04", tool="apt", packages={"amdgpu-dkms": "1:6.16.6.30200100-2238411.24.04"})
    (found,) = judge.against(gpu("ubuntu-24.04", stack), seen)
    assert (found.rule, found.severity) == ("amdgpu-dkms", "stop")


# --- whether it does what it is for


def lines(*blocks: str) -> tuple[str, ...]:
    values = {"number": 0, "name": "STRIX_HALO", "version": "26.0.8"}
    return tuple((HEAD + "".join(block.format(**values) for block in blocks)).splitlines())


@pytest.mark.parametrize("name", ["STRIX_HALO", "GFX1151"])
def test_radv_beside_llvmpipe_fits(name: str) -> None:
    text = tuple(line.replace("STRIX_HALO", name) for line in lines(RADV, LLVMPIPE))
    assert judge.unfit(gpu(), Seen(vulkan=text)) == []


@pytest.mark.parametrize(
    ("text", "seen", "fix"),
    [
        (lines(LLVMPIPE), "llvmpipe (LLVM 15.0.6, 256 bits)", "group render"),
        (lines(RADV.replace(" (RADV {name})", "")), "Radeon 8060S Graphics", "another driver answers"),
        (lines(AMDVLK.replace("8060S", "8050S")), "Radeon 8050S Graphics", "another driver answers"),
        (tuple(line.replace("STRIX_HALO", "NAVI31") for line in lines(RADV)), "(RADV NAVI31)", "group render"),
        (("Cannot create Vulkan instance.", ""), "Cannot create Vulkan instance.", "vulkaninfo --summary"),
        ((), "it could not be run", "vulkaninfo --summary"),
    ],
)
def test_another_device_does_not(text: tuple[str, ...], seen: str, fix: str) -> None:
    (found,) = judge.unfit(gpu(), Seen(vulkan=text))
    assert seen in found.seen
    assert fix in found.fix


def test_a_node_without_a_gpu_of_its_own_has_vulkan_in_software() -> None:
    virtual = gpu("debian-13", own=False)
    assert judge.unfit(virtual, Seen(vulkan=lines(LLVMPIPE))) == []
    assert judge.unfit(virtual, Seen(vulkan=("ERROR",))) != []
    assert judge.unfit(gpu("ubuntu-26.04", "rocm", own=False), Seen()) == []


def test_rocminfo_must_name_the_gpu() -> None:
    node = gpu("fedora-44", "rocm")
    assert judge.unfit(node, Seen(rocm=tuple(ROCMINFO.format(gfx="gfx1151").splitlines()))) == []
    (denied,) = judge.unfit(node, Seen(rocm=tuple(NO_KFD.format(user="halofleet").splitlines())))
    assert denied.seen == "Unable to open /dev/kfd read-write: Permission denied"
    assert "crw-rw---- root render" in denied.fix
    (other,) = judge.unfit(node, Seen(rocm=tuple(ROCMINFO.format(gfx="gfx1100").splitlines())))
    assert (other.seen, other.expected) == ("gfx1100", "an agent gfx1151")


# --- scripts


def test_a_gpu_that_hangs_does_not_hang_the_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"runuser": 'shift 3; exec "$@"', "vulkaninfo": "echo begins; exec sleep 20", "id": ":"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr("roles.gpu.facts.PATIENCE_SECONDS", 0.2)
    command = GpuStates().command(gpu()).get_raw_value()
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = subprocess.run(["sh", "-c", command], env=path, capture_output=True, text=True, timeout=10, check=True)
    assert "vulkan begins" in said.stdout.splitlines()


def test_what_a_node_said_is_understood() -> None:
    said = ["os ubuntu-26.04", "tool apt", "package mesa-vulkan-drivers 26.0.8-1", f"file 644 {'0' * 64} /etc/a b"]
    said += ["record package vulkan-tools", "record group render", "source /etc/apt/sources.list", "member render"]
    said += [
        "source /etc/apt/sources.list.d/halofleet-amdrocm.sources",
        f"key {base64.b64encode(KEY.encode()).decode()}",
    ]
    seen = GpuStates().process([*said, "vulkan \tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)", "vulkan "])
    assert seen.packages == {"mesa-vulkan-drivers": "26.0.8-1"}
    assert seen.files == {"/etc/a b": ("644", "0" * 64)}
    assert seen.record == ("package vulkan-tools", "group render")
    assert seen.sources == ("/etc/apt/sources.list",)
    assert seen.key == KEY
    assert judge.devices(seen) == ["llvmpipe (LLVM 15.0.6, 256 bits)"]


@pytest.mark.parametrize("os", ["ubuntu-24.04", "fedora-44"])
@pytest.mark.parametrize("backends", [("vulkan",), ("rocm",), ("vulkan", "rocm")])
def test_the_scripts_are_clean_shell(os: str, backends: tuple[str, ...], tmp_path: Path) -> None:
    node = gpu(os, *backends)
    tool = str(data()["releases"][os]["tool"])
    bare = Seen(os=os, tool=tool, groups=frozenset({"render", "video"}), amdvlk=("/etc/vulkan/icd.d/amd_icd64.json",))
    want = change.lacking(node, bare, KEY)
    full = replace(
        bare, record=want.record, files={file.path: ("644", "") for file in (*want.files, want.source) if file}
    )
    over = change.remains(gpu(os, "cpu"), replace(full, moved=bare.amdvlk))
    look = GpuStates().command(node).get_raw_value()
    for text in (change.add_script(node, bare, want), change.remove_script(full, over)):
        script = tmp_path / "script"
        script.write_text(f"#!/bin/sh\n{text}")
        checked = subprocess.run(
            [str(Path(sys.executable).with_name("shellcheck")), str(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.stdout == ""
    assert "{{" not in look


def test_what_needs_others_goes_first() -> None:
    record = tuple(f"package {name}" for name in ("/usr/bin/vulkaninfo", "amdrocm*10.0*", "vulkan-loader", "libatomic"))
    over = change.remains(gpu("fedora-44", "cpu"), Seen(tool="dnf", record=record))
    assert over.packages == ("amdrocm*10.0*", "libatomic", "/usr/bin/vulkaninfo", "vulkan-loader")
    kept = change.remains(gpu("fedora-44", "rocm"), Seen(tool="dnf", record=record))
    assert kept.packages == ("/usr/bin/vulkaninfo", "vulkan-loader")
    assert kept.record == ("package amdrocm*10.0*", "package libatomic")


def test_another_series_takes_the_older_ones_place() -> None:
    newer = replace(gpu("ubuntu-26.04", "rocm"), rocm=rocm(Said(version="10.1")))
    seen = Seen(tool="apt", record=("package amdrocm*10.0*",), packages={"amdrocm10.0-gfx1151": "10.0.0-4"})
    assert "amdrocm10.1-gfx1151" in change.lacking(newer, seen, KEY).packages
    assert change.remains(newer, seen).packages == ("amdrocm*10.0*",)
