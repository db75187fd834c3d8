"""gpu: repository, key, packages and checks on every release; what does not fit leaves the node as it was."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from pyinfra.api import Host, deploy

from inventory.spec import Lab
from roles.gpu import asked, gpu
from roles.gpu.plan import KEYS, PIN, RECORD, SOURCES, Gpu, plan, traces
from roles.lib.board import GPU_REMAINS
from roles.lib.stop import Failed, Refused
from tests.keys import FINGERPRINT, KEY, OTHER
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS, OTHER_RELEASES
from tests.sim.host import SimHost
from tests.sim.packages import PROVIDES
from tests.sim.run import Bench, Run
from tests.thorough import some

Stages = Callable[..., Stage]
RELEASES = ("ubuntu-24.04", "ubuntu", "fedora", "fedora-44")
AMD = "https://stable.repo.amd.com/rocm/core/packages"
WEB = {
    "ubuntu-24.04": f"{AMD}/ubuntu2404/",
    "ubuntu-26.04": f"{AMD}/ubuntu2604/",
    "fedora-43": f"{AMD}/rhel10/x86_64",
    "fedora-44": f"{AMD}/rhel10/x86_64",
}
NAMES = frozenset({"amdrocm10.0-gfx1151", "amdrocm10.1-gfx1151"})
# What is asked for (sources: roles/gpu/data/stacks.yml), and what the simulated distribution brings along.
PACKAGES: dict[str, dict[str, tuple[list[str], set[str]]]] = {
    "vulkan": {
        "apt": (["libvulkan1", "mesa-vulkan-drivers", "vulkan-tools"], {"libdrm-amdgpu1"}),
        "dnf": (["vulkan-loader", "mesa-vulkan-drivers", "/usr/bin/vulkaninfo"], {"libdrm"}),
    },
    "rocm": {
        "apt": (["libatomic1", "libquadmath0", "amdrocm10.0-gfx1151"], {"amdrocm-base10.0"}),
        "dnf": (["libatomic", "libquadmath", "amdrocm10.0-gfx1151"], {"amdrocm-base10.0"}),
    },
}
ICD = "/etc/vulkan/icd.d/amd_icd64.json"
every_release = pytest.mark.parametrize("name", RELEASES)
every_stack = pytest.mark.parametrize("stack", ["vulkan", "rocm"])


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What hosts are heard to say."""
    found: list[str] = []
    monkeypatch.setattr(Host, "log", lambda _, message, *__: found.append(message))
    return found


def box(stages: Stages, name: str, stack: str, **changed: Any) -> tuple[Stage, SimHost]:
    """A node with a Strix Halo GPU, and a control machine that has fetched the key of AMD's repository: one of ours,
    for nobody but AMD can sign with theirs."""
    stage = stages(name, "halo2")
    sim = stage.before("gpu")
    sim.gpu.web = {WEB.get(sim.flavour.os, ""): NAMES}
    sim.gpu.signer = FINGERPRINT
    keep_key(stage)
    stage.change(defaults__backend=stack, rocm={"fingerprint": FINGERPRINT}, **changed)
    return stage, sim


def keep_key(stage: Stage, text: str = KEY) -> None:
    path = stage.home.folder / f"cache/keys/{FINGERPRINT}.asc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def turn(stage: Stage, sim: SimHost, stack: str, *, dies: bool = False) -> list[Run]:
    """A whole run with another backend, as far as it concerns the GPU."""
    stage.change(defaults__backend=stack)
    told = {GPU_REMAINS: {"halo2": any(sim.files.real(path).exists() for path in traces())}}  # preflight's word
    options: dict[str, Any] = {"dies_after": 99} if dies else {}
    return [stage.run(role, sim, told=told, **options) for role in ("gpu asked", "gpu", "gpu tidy")]


def jobs(run: Run) -> str:
    return "\n".join(command for command in run.flat if command.startswith("job "))


def installs(run: Run) -> list[list[str]]:
    """What every command that installs asks for."""
    lines = (line.removeprefix("patiently ") for line in jobs(run).splitlines())
    found = [shlex.split(line) for line in lines if re.match(r"(apt-get|dnf) install -y", line)]
    return [[word for word in words[2:] if not word.startswith("-") and "::" not in word] for words in found]


def ours(sim: SimHost) -> list[str]:
    """Everything of halofleet's that a GPU stack leaves."""
    paths = [path for path in (*KEYS.values(), *SOURCES.values(), PIN, RECORD) if sim.files.real(path).exists()]
    amd = [name for name in sorted(sim.packages.installed) if "rocm" in name]
    return paths + amd + sim.files.members("halofleet") + sim.gpu.kept


# --- what is put there


@every_release
def test_vulkan_is_mesas_and_seen_by_the_service_user(stages: Stages, name: str, notes: list[str]) -> None:
    stage, sim = box(stages, name, "vulkan")
    before = set(sim.packages.installed)
    run = stage.run("gpu", sim)
    assert run.ended
    assert [operation for operation, _ in run.commands] == ["stack installed"]
    asked, along = PACKAGES["vulkan"][sim.flavour.tool]
    assert sim.packages.installed - before == along | {PROVIDES.get(name, name) for name in asked}
    assert sim.files.members("halofleet") == ["video", "render"]
    assert [path for path in ours(sim) if path.startswith("/")] == [RECORD]
    assert installs(run) == [asked]  # in one go
    assert any("ppa:kisak" in note for note in notes) is (name == "ubuntu-24.04")  # 25.2.8


@every_release
def test_rocm_is_amds_by_its_key_alone(stages: Stages, name: str) -> None:
    stage, sim = box(stages, name, "rocm")
    before = set(sim.packages.installed)
    run = stage.run("gpu", sim)
    assert run.ended
    tool, os = sim.flavour.tool, sim.flavour.os
    key = f"write {KEYS[tool]} 644 root:root"
    pin = [f"write {PIN} 644 root:root"] if tool == "apt" else []
    assert run.commands == [("stack installed", [key, *pin, run.flat[-1]])]
    assert sim.text(KEYS[tool]) == KEY
    assert sim.text(SOURCES[tool]) == EXPECTED[tool].replace("URL", WEB[os])
    if tool == "apt":
        assert sim.text(PIN) == EXPECTED["pin"]
    asked, along = PACKAGES["rocm"][tool]
    assert installs(run) == [asked]
    assert sim.packages.installed - before == along | set(asked)
    assert sim.files.members("halofleet") == ["video", "render"]
    assert "amdrocm*10.0*" in sim.text(f"{RECORD}/record")


# The URL, suite, component and key's folder: ROCm/rocm-docs, docs/install/include/200-install.rst @10.0.0; priority=50:
# kyuz0/amd-strix-halo-toolboxes, toolboxes/Dockerfile.rocm-10.0-gufo; the pin and includepkgs: apt_preferences(5),
# dnf.conf(5), and tests/lab/test_rocm_repositories.py, where a real apt and dnf heed them.
EXPECTED = {
    "apt": (
        "# halofleet: AMD's ROCm.\nX-Repo-Id: halofleet-amdrocm\nTypes: deb\nURIs: URL\nSuites: stable\n"
        "Components: main\nArchitectures: amd64\nSigned-By: /etc/apt/keyrings/halofleet-amdrocm.asc\n"
    ),
    "dnf": (
        "# halofleet: AMD's ROCm packages and nothing else, no kernel module above all.\n[halofleet-amdrocm]\n"
        "name=ROCm (halofleet)\nbaseurl=URL\nenabled=1\npriority=50\ngpgcheck=1\n"
        "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-halofleet-amdrocm\nincludepkgs=amdrocm*\n"
    ),
    "pin": (
        "# halofleet: from AMD's repository come its ROCm packages and nothing else, no kernel module above all.\n"
        'Package: *\nPin: origin "stable.repo.amd.com"\nPin-Priority: -1\n\n'
        'Package: amdrocm*\nPin: origin "stable.repo.amd.com"\nPin-Priority: 600\n'
    ),
}


@every_release
@every_stack
def test_dry_then_real_then_nothing_is_left(stages: Stages, name: str, stack: str) -> None:
    stage, sim = box(stages, name, stack)
    fresh = sim.fingerprint()
    for role in ("gpu asked", "gpu", "gpu tidy"):
        dry = stage.run(role, sim, dry=True)
        assert (dry.flat, dry.changes) == ([], 0)
    assert sim.fingerprint() == fresh
    assert stage.run("gpu", sim, dry=True).announced == ("stack installed",)
    stage.run("gpu", sim)
    stage.run("gpu tidy", sim)
    state = sim.state()
    for role in ("gpu asked", "gpu", "gpu tidy"):
        again = stage.run(role, sim)
        assert again.ended
        assert (again.flat, again.changes) == ([], 0)
        assert len(again.sent) == 1  # one look, and no more
    assert sim.state() == state


@every_stack
def test_an_interruption_heals(stages: Stages, stack: str) -> None:
    stage, whole = box(stages, "ubuntu", stack)
    changes = stage.run("gpu", whole).changes
    for count in some(range(1, changes + 1)):
        stage, sim = box(stages, "ubuntu", stack)
        stage.run("gpu", sim, dies_after=count)
        assert stage.run("gpu", sim).ended
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"


def test_both_at_once_are_asked_for_in_one_go(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "backends", lambda _, __: ("vulkan", "rocm"))
    stage, sim = box(stages, "fedora-44", "rocm")
    run = stage.run("gpu", sim)
    assert jobs(run).count("dnf install") == 1
    assert stage.run("gpu", sim).flat == []
    assert {"mesa-vulkan-drivers", "amdrocm10.0-gfx1151"} <= sim.packages.installed


# --- nodes that have no GPU of their own, or none at all


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_node_that_computes_on_its_cpu_is_not_asked(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("gpu")
    for role in ("gpu asked", "gpu", "gpu tidy"):
        assert stage.run(role, sim).sent == ()


def test_a_virtual_host_has_vulkan_in_software(stages: Stages) -> None:
    stage, sim = box(stages, "debian", "vulkan")
    sim.gpu.card = ""
    assert stage.run("gpu", sim).ended
    assert sim.files.members("halofleet") == []  # the device needs no group
    assert stage.run("gpu", sim).flat == []


# --- switching leaves nothing


@every_release
def test_switching_leaves_no_remains(stages: Stages, name: str) -> None:
    stage, sim = box(stages, name, "cpu")
    never = sim.state()
    turn(stage, sim, "rocm")
    rocm = sim.state()
    turn(stage, sim, "vulkan")
    assert ours(sim) == [RECORD, "video", "render"]
    vulkan = sim.state()
    for stack, wanted in (("rocm", rocm), ("vulkan", vulkan), ("cpu", never)):
        turn(stage, sim, stack)
        assert sim.state() == wanted, stack
    assert ours(sim) == []
    assert [run.sent for run in turn(stage, sim, "cpu")] == [(), (), ()]


@every_release
def test_another_series_is_beside_the_old_one_until_the_services_have_changed(stages: Stages, name: str) -> None:
    stage, sim = box(stages, name, "rocm")
    turn(stage, sim, "rocm")
    stage.change(rocm__version="10.1")
    stage.run("gpu", sim)
    both = {"amdrocm10.0-gfx1151", "amdrocm-base10.0", "amdrocm10.1-gfx1151", "amdrocm-base10.1"}
    assert {name for name in sim.packages.installed if "rocm" in name} == both
    turn(stage, sim, "rocm")
    assert {name for name in sim.packages.installed if "rocm" in name} == {"amdrocm10.1-gfx1151", "amdrocm-base10.1"}
    assert [run.flat for run in turn(stage, sim, "rocm")] == [[], [], []]
    turn(stage, sim, "cpu")
    assert ours(sim) == []


def test_what_still_computes_stays_until_the_services_have_changed(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", "rocm")
    stage.run("gpu", sim)
    stage.change(defaults__backend="vulkan")
    stage.run("gpu", sim)
    assert "amdrocm10.0-gfx1151" in sim.packages.installed
    stage.run("gpu tidy", sim)
    assert "amdrocm10.0-gfx1151" not in sim.packages.installed


@every_release
def test_what_was_there_before_stays(stages: Stages, name: str) -> None:
    stage, sim = box(stages, name, "rocm")
    sim.packages._install(["mesa-vulkan-drivers", "vulkan-tools"], "{}", 1)
    sim.files._member(["video"], lambda there: [*there, "halofleet"])
    turn(stage, sim, "rocm")
    turn(stage, sim, "vulkan")
    turn(stage, sim, "cpu")
    assert {"mesa-vulkan-drivers", "vulkan-tools"} <= sim.packages.installed
    assert sim.files.members("halofleet") == ["video"]


@every_release
def test_what_others_need_by_now_stays(stages: Stages, name: str) -> None:
    stage, sim = box(stages, name, "vulkan")
    turn(stage, sim, "vulkan")
    sim.packages.needed["mesa-vulkan-drivers"] = "gnome-shell"
    sim.packages.versions["gnome-shell"] = "1"
    run = turn(stage, sim, "cpu")[-1]
    assert run.ended
    assert "mesa-vulkan-drivers" in sim.packages.installed
    assert "vulkan-tools" not in sim.packages.installed
    assert ours(sim) == []


def test_amdvlk_is_put_aside_and_given_back(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", "vulkan")
    file = sim.files.real(ICD)
    file.parent.mkdir(parents=True)
    file.write_text('{"ICD": {}}\n')
    turn(stage, sim, "vulkan")
    assert not file.exists()
    assert sim.text(f"{ICD}.halofleet") == '{"ICD": {}}\n'
    file.write_text('{"ICD": {"new": 1}}\n')  # an upgrade of its package
    turn(stage, sim, "vulkan")
    turn(stage, sim, "cpu")
    assert sim.text(ICD) == '{"ICD": {"new": 1}}\n'
    assert not sim.files.real(f"{ICD}.halofleet").exists()


# --- bad input: the node stays as it was, and the message says what to do


def as_it_was(sim: SimHost, before: set[str], sources: bool = False) -> None:
    assert sim.packages.installed == before
    assert any(sim.files.real(path).exists() for path in SOURCES.values()) is sources
    assert not sim.files.real(PIN).exists()
    assert not any(sim.files.real(path).exists() for path in KEYS.values())
    assert sim.files.members("halofleet") == []


def test_a_key_that_does_not_match_is_refused_before_anything(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, sim = box(stages, "ubuntu", "rocm")
    keep_key(stage, OTHER)  # and the web is asked again

    class Answer:
        raw = type("Raw", (), {"read": lambda *_, **__: OTHER.encode()})()
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731
        raise_for_status = lambda _: None  # noqa: E731

    monkeypatch.setattr("roles.gpu.key.requests.get", lambda *_, **__: Answer())
    fresh, before = sim.fingerprint(), set(sim.packages.installed)
    with pytest.raises(Refused, match=f"key of ROCm's repository: .*; expected: {FINGERPRINT}; Nothing is installed"):
        stage.run("gpu asked", sim)
    with pytest.raises(Failed, match="Nothing is installed"):
        stage.run("gpu", sim)
    assert sim.fingerprint() == fresh
    as_it_was(sim, before)


@every_release
def test_a_repository_that_answers_404_never_joins_the_others(
    stages: Stages, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, sim = box(stages, name, "rocm")
    sim.gpu.web.clear()
    before = set(sim.packages.installed)
    assert not stage.run("gpu", sim, dies_after=99).ended
    said = capsys.readouterr().err
    assert f"{AMD}: does not answer as the package repository of {sim.flavour.os}" in said
    assert "it is not used, and nothing was changed; look whether the node reaches it" in said
    as_it_was(sim, before)
    sim.gpu.web = {WEB[sim.flavour.os]: NAMES}
    assert stage.run("gpu", sim).ended


@every_release
def test_a_repository_that_another_key_signs_is_not_believed(
    stages: Stages, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, sim = box(stages, name, "rocm")
    sim.gpu.signer = "A" * 40
    before = set(sim.packages.installed)
    assert not stage.run("gpu", sim, dies_after=99).ended
    said = capsys.readouterr().err
    assert "is not signed" in said or "Import of the key didn't help, wrong key?" in said
    assert "run this again" in said
    assert sim.gpu.kept == []
    as_it_was(sim, before)


@every_release
def test_a_package_that_does_not_exist_leaves_no_repository(
    stages: Stages, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, sim = box(stages, name, "rocm")
    sim.gpu.web = {WEB[sim.flavour.os]: frozenset()}
    before = set(sim.packages.installed)
    assert not stage.run("gpu", sim, dies_after=99).ended
    said = capsys.readouterr().err
    assert "amdrocm10.0-gfx1151" in said
    assert f"not all of it is to be had for {sim.flavour.os}" in said
    assert "take another backend or version" in said
    as_it_was(sim, before)


def test_an_unsupported_release_is_refused_with_the_nearest(stages: Stages) -> None:
    stage, sim = box(stages, "debian", "rocm")
    fresh = sim.fingerprint()
    with pytest.raises(Refused, match=r"halo2: backend rocm: debian-13; .*; install ubuntu-26.04 or fedora-44 there"):
        stage.run("gpu asked", sim)
    assert sim.fingerprint() == fresh


def test_an_older_rocm_is_refused_with_what_to_remove(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu-24.04", "rocm")
    sim.packages.installed.add("rocm-core")
    sim.packages.versions["rocm-core"] = "7.2.4.70204-93~24.04"
    with pytest.raises(Refused, match=r"older ROCm: rocm-core 7.2.4.*amdgpu-install --uninstall"):
        stage.run("gpu asked", sim)


def test_another_file_with_amds_repository_is_refused(stages: Stages) -> None:
    """apt refuses one repository with two keys, and would then work for nobody."""
    stage, sim = box(stages, "ubuntu", "rocm")
    file = sim.files.real("/etc/apt/sources.list.d/amdrocm-stable.sources")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"Types: deb\n# URIs: elsewhere\nURIs: {AMD}/ubuntu2604/\n")
    with pytest.raises(Refused, match=r"also in /etc/apt/sources.list.d/amdrocm-stable.sources.*; rm /etc/apt"):
        stage.run("gpu asked", sim)
    file.write_text(f"# URIs: {AMD}/ubuntu2604/\n")
    assert stage.run("gpu asked", sim).ended


def test_a_mirror_on_the_host_of_the_distributions_own(stages: Stages) -> None:
    """The pin would close that too."""
    stage, sim = box(stages, "ubuntu", "rocm")
    stage.change(rocm__repository="https://mirror.lan/rocm")
    sim.gpu.web = {"https://mirror.lan/rocm/ubuntu2604/": NAMES}
    file = sim.files.real("/etc/apt/sources.list.d/ubuntu.sources")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("Types: deb\nURIs: https://mirror.lan.example/ubuntu\n")  # another host
    assert stage.run("gpu asked", sim).ended
    file.write_text("Types: deb\nURIs: https://mirror.lan:443/ubuntu\n")
    with pytest.raises(
        Refused, match=r"mirror.lan also serves what /etc/apt/sources.list.d/ubuntu.sources.*pin: false"
    ):
        stage.run("gpu asked", sim)
    stage.change(rocm__pin=False)
    assert stage.run("gpu asked", sim).ended
    assert stage.run("gpu", sim).ended
    assert not sim.files.real(PIN).exists()
    assert "URIs: https://mirror.lan/rocm/ubuntu2604/" in sim.text(SOURCES["apt"])
    assert stage.run("gpu asked", sim).ended


def test_an_old_mesa_is_told_with_the_way_up(stages: Stages, notes: list[str]) -> None:
    stage, sim = box(stages, "ubuntu-24.04", "vulkan")
    stage.run("gpu", sim)
    notes.clear()
    assert stage.run("gpu", sim).ended
    assert [note for note in notes if note.startswith("Mesa") and "add-apt-repository ppa:kisak/kisak-mesa" in note]


def test_it_is_told_once(stages: Stages, notes: list[str]) -> None:
    stage, sim = box(stages, "ubuntu-24.04", "vulkan")
    stage.run("gpu", sim)
    notes.clear()

    @deploy("as in cluster.py")
    def both(plan: Gpu) -> None:
        asked(plan=plan)
        gpu(plan=plan)

    lab = stage.lab()
    assert Bench(lab, "halo2", sim).run(both, plan(lab, "halo2")).ended
    assert len([note for note in notes if note.startswith("Mesa")]) == 1


def test_a_dry_run_on_a_host_without_the_user(stages: Stages) -> None:
    """It has the packages already, and the device of a virtual host needs no group."""
    stage = stages("debian", "halo2")
    stage.change(defaults__backend="vulkan")
    sim = stage.before("base")
    sim.packages._install(["libvulkan1", "mesa-vulkan-drivers", "vulkan-tools"], "{}", 1)
    assert stage.run("gpu", sim, dry=True).ended


@pytest.mark.parametrize("stack", ["vulkan", "rocm"])
def test_a_device_that_the_service_user_does_not_see_fails(stages: Stages, stack: str) -> None:
    stage, sim = box(stages, "ubuntu", stack)
    sim.gpu.card, sim.gpu.gfx = "NAVI31", "gfx1100"
    with pytest.raises(Failed, match=r"RADV NAVI31|gfx1100"):
        stage.run("gpu", sim)
    with pytest.raises(Failed):  # and not only where something was changed
        stage.run("gpu", sim)


def test_a_user_that_fell_out_of_its_group_is_put_back(stages: Stages) -> None:
    stage, sim = box(stages, "fedora-44", "rocm")
    stage.run("gpu", sim)
    sim.files._member(["render"], lambda _: [])
    run = stage.run("gpu", sim)
    assert "usermod -aG render halofleet" in jobs(run)
    assert "dnf install" not in jobs(run)
    assert stage.run("gpu", sim).flat == []


def test_every_release_of_the_data_that_is_not_virtual_is_tested() -> None:
    assert set(WEB) == {(FLAVOURS | OTHER_RELEASES)[name].os for name in RELEASES}
