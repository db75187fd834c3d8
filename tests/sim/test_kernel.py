"""kernel: arguments where each system keeps them, all of a change or nothing, and given back byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError

from roles import kernel
from roles.kernel import reboot
from roles.lib.stop import Failed, Refused
from tests.sim.boot import DEFAULT_GRUB, MACHINE
from tests.sim.conftest import Stage
from tests.sim.host import SimHost
from tests.sim.run import Bench, Run
from tests.sim.shell import Call, Reply
from tests.thorough import some

Stages = Callable[..., Stage]
LIMIT = "ttm.pages_limit=31457280"  # 128 GiB less 8
LOCKUP = "amdgpu.lockup_timeout=10000,60000,10000,10000"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
LOADERS = {"debian": "grub", "ubuntu": "grub", "fedora": "grubby"}
FEDORA_ENTRY = f"/boot/loader/entries/{MACHINE}-6.19.12-200.fc43.x86_64.conf"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reboot, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(reboot, "BACK_SECONDS", 1)
    monkeypatch.setattr(reboot, "SETTLED_SECONDS", 1)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What hosts are heard to say."""
    found: list[str] = []
    monkeypatch.setattr(Host, "log", lambda _, message, *__: found.append(message))
    monkeypatch.setattr(Host, "log_styled", lambda _, message, **__: found.append(message))
    return found


def box(stages: Stages, flavour: str, *, loader: str = "", **values: Any) -> tuple[Stage, SimHost]:
    stage = stages(flavour, "halo2")
    stage.change(defaults__kernel="own")
    sim = stage.before("kernel")
    sim.give_kernel(loader or LOADERS[flavour], **values)
    return stage, sim


def linux(sim: SimHost) -> list[str]:
    """What the entries of the menu give the kernel."""
    lines = [line.split(" ro ", 1)[1] for line in sim.text("/boot/grub/grub.cfg").splitlines() if "\tlinux\t" in line]
    return [" ".join(line.split()) for line in lines]


def boot_files(sim: SimHost) -> dict[str, tuple[int, bytes]]:
    found = [path for top in ("boot", "etc") for path in (sim.root / top).rglob("*") if path.is_file()]
    return {str(path.relative_to(sim.root)): (path.stat().st_mode, path.read_bytes()) for path in found}


def back(stage: Stage, sim: SimHost) -> Run:
    lab = stage.lab()
    return Bench(lab, stage.node, sim).run(kernel.given_back, kernel.plan.plan(lab, stage.node))


def steps(run: Run) -> list[str]:
    """Commands, a job by its name."""
    return [command.split(":\n")[0] for command in run.flat]


@pytest.mark.parametrize("flavour", LOADERS)
def test_written_rebooted_proven_and_a_second_run_is_one_look(stages: Stages, flavour: str) -> None:
    stage, sim = box(stages, flavour)
    before = sim.text("/proc/sys/kernel/random/boot_id")
    run = stage.run("kernel", sim)
    assert run.commands == [
        ("arguments", [run.flat[0]]),
        ("reboot halo2", ["systemctl reboot", BOOT_ID]),
    ]
    assert steps(run)[0] == "job kernel"
    arguments = [LIMIT, LOCKUP] if flavour == "ubuntu" else [LIMIT]
    assert sim.text("/proc/cmdline").split()[-len(arguments) - 1 :][:-1] == arguments or flavour == "fedora"
    assert set(arguments) <= set(sim.text("/proc/cmdline").split())
    assert sim.text("/sys/module/ttm/parameters/pages_limit") == "31457280\n"
    assert sim.text("/sys/class/drm/card1/device/mem_info_gtt_total") == f"{120 << 30}\n"
    assert sim.text("/proc/sys/kernel/random/boot_id") != before
    assert sim.files.real("/run/halofleet.lock").is_file(), "the lock is held again"
    seen = sim.fingerprint()
    second = stage.run("kernel", sim)
    assert (second.flat, len(second.sent)) == ([], 1)
    assert sim.fingerprint() == seen
    assert stage.run("kernel", sim, dry=True).announced == ()


@pytest.mark.parametrize("flavour", LOADERS)
def test_a_dry_run_is_silent_and_announces(stages: Stages, flavour: str) -> None:
    stage, sim = box(stages, flavour)
    seen = sim.fingerprint()
    dry = stage.run("kernel", sim, dry=True)
    assert (dry.flat, dry.announced) == ([], ("arguments", "reboot halo2"))
    assert sim.fingerprint() == seen


@pytest.mark.parametrize("flavour", LOADERS)
def test_given_back_byte_for_byte(stages: Stages, flavour: str) -> None:
    stage, sim = box(stages, flavour)
    before, cmdline = boot_files(sim), sim.text("/proc/cmdline")
    stage.run("kernel", sim)
    stage.change(defaults__memory={"gpu": "96GiB"})
    stage.run("kernel", sim)
    assert "ttm.pages_limit=25165824" in sim.text("/proc/cmdline").split()
    assert LIMIT not in sim.text("/proc/cmdline")
    run = back(stage, sim)
    assert steps(run) == ["job kernel"], "nothing is rebooted"
    assert boot_files(sim) == before
    assert not sim.files.real("/var/lib/halofleet/kernel").exists()
    assert back(stage, sim).flat == []
    sim.reboot()
    assert sim.text("/proc/cmdline") == cmdline


def test_grub_every_entry_has_it_and_a_submenu_does_not(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    with sim.files.real("/etc/default/grub").open("a") as file:
        file.write('GRUB_CMDLINE_LINUX="console=tty0 nvme.x=1"\n')
    stage.run("kernel", sim)
    ours, theirs = f"console=tty0 nvme.x=1 {LIMIT}", "console=tty0 nvme.x=1"
    normal, recovery = f"{ours} quiet", f"single {ours}"
    assert linux(sim) == [normal, normal, recovery, normal, recovery, f"{theirs} quiet", f"{theirs} quiet"]
    menu = sim.text("/boot/grub/grub.cfg")
    last = "submenu 'Without the kernel arguments of halofleet' $menuentry_id_option 'halofleet-without' {"
    assert menu.index(last) > menu.index("gnulinux-6.12.43+deb13-amd64-recovery")
    assert "'halofleet-without-6.12.48+deb13-amd64-advanced-" in menu
    assert sim.text("/etc/default/grub") == f'{DEFAULT_GRUB}GRUB_CMDLINE_LINUX="console=tty0 nvme.x=1"\n'


def test_somebody_elses_same_argument_is_left_where_it_is(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    folder = sim.files.real("/etc/default/grub.d")
    folder.mkdir()
    (folder / "50-mine.cfg").write_text(f'GRUB_CMDLINE_LINUX="{LIMIT} $GRUB_CMDLINE_LINUX"\n')
    sim.execute("update-grub")
    run = stage.run("kernel", sim)
    assert steps(run)[0] == "systemctl reboot", "it only has to be booted"
    assert not (folder / "99-halofleet.cfg").exists()
    stage.change(defaults__iommu="pt")
    stage.run("kernel", sim)
    assert linux(sim)[0] == f"{LIMIT} iommu=pt quiet"
    assert linux(sim)[-1] == f"{LIMIT} quiet"
    assert stage.run("kernel", sim).flat == []


@pytest.mark.parametrize(
    ("flavour", "path", "said"),
    [
        ("debian", "/etc/default/grub.d/10-guide.cfg", "in /etc/default/grub.d/10-guide.cfg line 2"),
        ("ubuntu", "/etc/default/grub.d/10-guide.cfg", "in /etc/default/grub.d/10-guide.cfg line 2"),
        ("fedora", "/etc/kernel/cmdline", "in /etc/kernel/cmdline line 2"),
    ],
)
def test_somebody_elses_other_value_is_refused_with_its_place(
    stages: Stages, flavour: str, path: str, said: str
) -> None:
    stage, sim = box(stages, flavour)
    real = sim.files.real(path)
    real.parent.mkdir(exist_ok=True)
    text = "root=x ttm.pages_limit=1" if flavour == "fedora" else 'GRUB_CMDLINE_LINUX+=" ttm.pages_limit=1"'
    real.write_text(f"\n{text}\n")
    seen = sim.fingerprint()
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert f"halo2: kernel argument: ttm.pages_limit=1 {said}; expected: {LIMIT}; take" in str(refused.value)
    assert sim.fingerprint() == seen
    assert stage.run("kernel", sim, dry=True).announced == ()


@pytest.mark.parametrize("flavour", LOADERS)
def test_a_boot_loader_that_fails_leaves_what_was_there(stages: Stages, flavour: str) -> None:
    stage, sim = box(stages, flavour)
    before = boot_files(sim)
    sim.boot.broken = "No space left on device\n"
    run = stage.run("kernel", sim, dies_after=999)
    assert (run.ended, steps(run)) == (False, ["job kernel"]), "and it is not rebooted"
    after = boot_files(sim)
    after.pop("boot/grub/grub.cfg.new", None)
    assert after == before
    sim.boot.broken = ""
    stage.run("kernel", sim)
    stage.change(defaults__memory={"gpu": "96GiB"})
    before = boot_files(sim)
    sim.boot.broken = "No space left on device\n"
    stage.run("kernel", sim, dies_after=999)
    assert boot_files(sim) == before, "also where something of ours was there"
    sim.boot.broken = ""
    assert stage.run("kernel", sim).ended
    assert sim.text("/sys/module/ttm/parameters/pages_limit") == "25165824\n"


def test_a_menu_without_the_arguments_is_taken_back(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    folder = sim.files.real("/etc/default/grub.d")
    folder.mkdir()
    (folder / "zz-last.cfg").write_text('GRUB_CMDLINE_LINUX="only=mine"\n')
    before = boot_files(sim)
    run = stage.run("kernel", sim, dies_after=999)
    assert not run.ended
    changed = {path for path, value in boot_files(sim).items() if before.get(path) != value}
    assert changed == set()


def test_fedora_only_the_default_entry_and_the_source_of_new_kernels(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    older = sim.text(f"/boot/loader/entries/{MACHINE}-6.18.9-200.fc43.x86_64.conf")
    stage.change(defaults__iommu="off")
    stage.run("kernel", sim)
    before = "options root=UUID=ec0ebe42-73a3-441f-9910-dce10ec8253e ro rootflags=subvol=root rhgb quiet $tuned_params"
    options = f"{before} {LIMIT} "
    assert f"{options}amd_iommu=off\n" in sim.text(FEDORA_ENTRY)
    assert sim.text(f"/boot/loader/entries/{MACHINE}-6.18.9-200.fc43.x86_64.conf") == older
    assert f'GRUB_CMDLINE_LINUX="rhgb quiet {LIMIT} amd_iommu=off"\n' in sim.text("/etc/default/grub")
    assert not sim.files.real("/etc/kernel/cmdline").exists(), "never made"
    stage.change(defaults__iommu=None)
    stage.run("kernel", sim)
    assert f"{options}".strip() in sim.text(FEDORA_ENTRY)
    assert "amd_iommu" not in sim.text(FEDORA_ENTRY) + sim.text("/etc/default/grub") + sim.text("/proc/cmdline")


def test_fedora_the_exact_grubby_commands(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, sim = box(stages, "fedora")
    said: list[tuple[str, ...]] = []
    model = sim.programs["grubby"]

    def grubby(call: Call) -> Reply:
        said.append(call.words)
        return model(call)

    monkeypatch.setitem(sim.programs, "grubby", grubby)
    stage.run("kernel", sim)
    stage.change(defaults__memory={"gpu": "96GiB"})
    stage.run("kernel", sim)
    assert [words for words in said if "--info=DEFAULT" not in words] == [
        ("--update-kernel=DEFAULT", f"--args={LIMIT}"),
        ("--update-kernel=DEFAULT", f"--remove-args={LIMIT}", "--args=ttm.pages_limit=25165824"),
    ]


def test_fedora_with_one_entry_gets_a_copy_of_it_first(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    old = f"/boot/loader/entries/{MACHINE}-6.18.9-200.fc43.x86_64.conf"
    sim.files.real(old).unlink()
    before = boot_files(sim)
    entry = sim.text(FEDORA_ENTRY)
    stage.run("kernel", sim)
    copy = sim.text(f"/boot/loader/entries/{MACHINE}-0-halofleet.conf")
    assert copy == entry.replace("Edition)\n", "Edition) without the kernel arguments of halofleet\n")
    assert LIMIT in sim.text("/proc/cmdline"), "the copy is not the default"
    assert stage.run("kernel", sim).flat == []
    back(stage, sim)
    assert boot_files(sim) == before


def test_fedora_a_newer_kernel_inherits_and_undo_reaches_it(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    sim.files.real("/etc/kernel").mkdir()
    sim.files.real("/etc/kernel/cmdline").write_text("root=UUID=x ro rhgb quiet\n")
    before = boot_files(sim)
    stage.run("kernel", sim)
    assert sim.text("/etc/kernel/cmdline") == f"root=UUID=x ro rhgb quiet {LIMIT}\n"
    newer = FEDORA_ENTRY.replace("6.19.12", "6.19.14")
    text = sim.text(FEDORA_ENTRY).replace("6.19.12", "6.19.14")
    sim.files.real(newer).write_text(text)
    sim.files.real("/etc/kernel/cmdline").write_text(f"root=UUID=x ro rhgb quiet {LIMIT} more=1\n")
    assert stage.run("kernel", sim).flat == [], "it has what it needs"
    back(stage, sim)
    assert LIMIT not in sim.text(newer)
    assert sim.text("/etc/kernel/cmdline") == "root=UUID=x ro rhgb quiet more=1\n"
    after = boot_files(sim)
    assert {path for path in after if after[path] != before.get(path)} == {newer[1:], "etc/kernel/cmdline"}


@pytest.mark.parametrize(
    ("changed", "memory", "said"),
    [
        ({"memory": {"gpu": "126GiB"}}, 125, "memory.gpu: 126GiB; expected: no more than the 125GiB that the box has"),
        ({"memory": {"gpu": "120GiB"}}, 125, "memory.gpu: 120GiB; expected: 6GiB of the box's 125GiB for everything"),
        ({"memory": {"reserve": "5GiB"}}, 125, "memory.reserve: 5GiB; expected: 6GiB of the box's 125GiB"),
        ({}, 8, "memory.reserve: 8GiB; expected: 6GiB of the box's 8GiB for everything but the GPU; at most 2GiB"),
    ],
)
def test_a_ceiling_that_starves_the_host_is_refused(
    stages: Stages, changed: dict[str, Any], memory: int, said: str
) -> None:
    stage, sim = box(stages, "ubuntu", memory=memory << 20)
    stage.change(**{f"defaults__{key}": value for key, value in changed.items()})
    seen = sim.fingerprint()
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert said in str(refused.value)
    assert sim.fingerprint() == seen


def test_without_the_gpu_and_unasked_nothing_is_written(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", card=False)
    run = stage.run("kernel", sim)
    assert (run.flat, len(run.sent)) == ([], 1)
    stage.change(defaults__memory={"reserve": "16GiB"})
    assert steps(stage.run("kernel", sim))[0] == "job kernel"


def test_a_node_without_a_kernel_of_its_own_is_not_asked(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("kernel")
    assert stage.run("kernel", sim).sent == ()


@pytest.mark.parametrize(
    ("path", "loader", "fix"),
    [
        ("/boot/loader/loader.conf", "systemd-boot", f"add `{LIMIT} {LOCKUP}` to the options line of the entry"),
        ("/run/ostree-booted", "rpm-ostree", f"run: rpm-ostree kargs --append-if-missing={LIMIT} --append-if-missing="),
        ("/boot/extlinux/extlinux.conf", "extlinux", "to the append line of /boot/extlinux/extlinux.conf"),
        ("/etc/zipl.conf", "zipl", "to the parameters of /etc/zipl.conf, and run zipl"),
        ("/boot/grub/menu.lst", "unknown", "to the kernel's command line where this box keeps it"),
    ],
)
def test_other_boot_loaders_are_refused_until_somebody_did_it_by_hand(
    stages: Stages, path: str, loader: str, fix: str
) -> None:
    stage, sim = box(stages, "ubuntu", loader=loader)
    sim.files.real(path).parent.mkdir(parents=True, exist_ok=True)
    sim.files.real(path).write_text("")
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert f"halo2: boot loader: {loader}; expected: GRUB; " in str(refused.value)
    assert fix in str(refused.value)
    sim.files.real("/proc/cmdline").write_text(f"root=x ro {LIMIT} {LOCKUP}\n")
    sim.files.real("/sys/module/ttm/parameters/pages_limit").write_text("31457280\n")
    assert stage.run("kernel", sim).flat == []


def test_a_box_whose_command_line_comes_from_outside_gets_module_options(stages: Stages) -> None:
    stage, sim = box(stages, "debian", loader="net")
    before = boot_files(sim)
    run = stage.run("kernel", sim)
    assert steps(run)[:2] == ["job kernel", "systemctl reboot"]
    assert sim.text("/etc/modprobe.d/halofleet-kernel.conf").splitlines()[1:] == ["options ttm pages_limit=31457280"]
    assert sim.text("/sys/module/ttm/parameters/pages_limit") == "31457280\n"
    assert stage.run("kernel", sim).flat == []
    back(stage, sim)
    assert boot_files(sim) == before
    stage.change(defaults__iommu="pt")
    with pytest.raises(Refused, match="boot loader: none; expected: one that can give the kernel iommu=pt"):
        stage.run("kernel", sim)


def test_reboot_never_leaves_a_note(stages: Stages, notes: list[str]) -> None:
    stage, sim = box(stages, "ubuntu")
    stage.change(defaults__reboot="never")
    for expected in (["job kernel"], []):
        notes.clear()
        assert steps(stage.run("kernel", sim)) == expected
        assert f"pending until it is rebooted: {LIMIT}, {LOCKUP}; not done here: reboot: never" in str(notes)
    sim.reboot()
    notes.clear()
    assert stage.run("kernel", sim).flat == []
    assert "pending" not in str(notes)


@pytest.mark.parametrize(
    ("crypttab", "bound", "reboots"),
    [
        ("root UUID=1 none luks,discard\n", 0, False),
        ("", 0, False),
        ("root UUID=1 none luks,tpm2-device=auto\n", 0, True),
        ("root UUID=1 none luks,tpm2-device=auto,tpm2-pin=yes\n", 0, False),
        ("root UUID=1 none luks\n", 1, True),
        ("root UUID=1 /etc/keys/root.key luks\n", 0, True),
        ("root UUID=1 /etc/keys/root.key luks\ndata UUID=2 none luks\n", 0, False),
        ("root UUID=1 /etc/keys/root.key luks\ndata UUID=2 none luks,nofail\n", 0, True),
    ],
)
def test_an_encrypted_root_that_waits_for_a_passphrase_is_not_rebooted(
    stages: Stages, notes: list[str], crypttab: str, bound: int, reboots: bool
) -> None:
    stage, sim = box(stages, "debian")
    sim.boot.chain, sim.boot.bound = "/dev/mapper/root crypt\n/dev/nvme0n1p3 part\n/dev/nvme0n1 disk\n", bound
    sim._put_program("clevis")
    sim.files.real("/etc/crypttab").write_text(crypttab)
    assert ("systemctl reboot" in steps(stage.run("kernel", sim))) is reboots
    assert ("would wait for its passphrase" in str(notes)) is not reboots


def test_a_box_that_installs_packages_is_not_rebooted(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    stage, sim = box(stages, "debian")
    # trixie's systemd-inhibit with apt at work (libapt-pkg's inhibitor)
    sim.inhibitors = [
        "NetworkManager       0 root 391 NetworkManager  sleep    NetworkManager needs to turn off networks delay",
        "APT                  0 root 811 apt-get         shutdown Installing or removing packages           block",
    ]
    monkeypatch.setattr(reboot, "INHIBITED_SECONDS", 0)
    boots = sim.boot.turns
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert sim.boot.turns == boots
    assert "halo2: not rebooted, because somebody works there: APT" in str(notes)
    sim.inhibitors.pop()
    assert stage.run("kernel", sim).ended
    assert sim.boot.turns == boots + 1


def test_one_that_does_not_come_back_fails(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, sim = box(stages, "debian")
    connect = sim.connect

    def gone() -> None:
        if sim.boot.turns > 1:
            raise ConnectError("no route to host")
        connect()

    monkeypatch.setattr(sim, "connect", gone)
    monkeypatch.setattr(reboot, "BACK_SECONDS", 0)
    assert not stage.run("kernel", sim, dies_after=999).ended


def test_one_that_comes_back_without_the_arguments_fails(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    stage, sim = box(stages, "debian")
    monkeypatch.setattr(sim.boot, "_booted", lambda: "root=x ro quiet")
    monkeypatch.setattr(reboot, "SETTLED_SECONDS", 0)
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert f"halo2: it booted without {LIMIT}; the nodes after it stay up" in str(notes)


def test_one_that_comes_back_with_what_the_doctor_calls_a_stop_fails(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    stage, sim = box(stages, "fedora")
    power_on = sim.boot.power_on

    def other_kernel() -> None:
        power_on()
        sim.files.real("/etc/kernel").mkdir(exist_ok=True)
        sim.files.real("/etc/kernel/cmdline").write_text("quiet\n")

    monkeypatch.setattr(sim.boot, "power_on", other_kernel)
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert "kernel/cmdline without root" in str(notes)
    assert "halo2: so it came back from its reboot; the nodes after it stay up" in str(notes)


def test_nobody_goes_down_before_the_ones_before_are_back(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    lab = stage.lab()
    plan = kernel.plan.plan(lab, "halo2")
    assert plan.order == ("halo2", "halo3", "halo1")
    behind = Bench(lab, "halo2", sim)
    with pytest.raises(Failed, match="halo2: not rebooted, because halo3 is not back; look at halo3 first"):
        behind.run(kernel.kernel, _after(plan, "halo3"), others=("halo3",))
    assert steps(behind.run(kernel.kernel, _after(plan, "halo3"))) == ["systemctl reboot", BOOT_ID]
    sim.files.real("/proc/cmdline").write_text("root=x\n")
    told = {"kernel up": {"halo3": True}}
    assert (
        steps(behind.run(kernel.kernel, _after(plan, "halo3"), others=("halo3",), told=told))[0] == "systemctl reboot"
    )


def _after(plan: kernel.plan.Kernel, first: str) -> kernel.plan.Kernel:
    return replace(plan, order=(first, "halo2"))


def test_an_interrupted_run_is_healed_by_the_next(stages: Stages) -> None:
    for flavour in LOADERS:
        stage, whole = box(stages, flavour)
        changes = stage.run("kernel", whole).changes
        for count in some(range(1, changes + 1)):
            stage, sim = box(stages, flavour)
            stage.run("kernel", sim, dies_after=count)
            stage.run("kernel", sim)
            assert boot_files(sim) == boot_files(whole)
            assert sim.text("/proc/cmdline") == whole.text("/proc/cmdline")
            assert stage.run("kernel", sim).flat == []
