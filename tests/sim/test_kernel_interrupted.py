"""kernel: its scripts killed between any two lines, as by a power cut; the next run, or undo, ends what was begun."""

from __future__ import annotations

from contextlib import suppress

import pytest
from pyinfra.api.exceptions import PyinfraError

from roles.kernel import operations, reboot
from roles.lib.jobs import job as real_job
from tests.sim.conftest import Stage
from tests.sim.cut import cut, listen
from tests.sim.host import SimHost
from tests.sim.shell import Call, Reply
from tests.sim.test_kernel import FEDORA_ENTRY, LIMIT, LOADERS, Stages, back, boot_files, box, linux, steps
from tests.thorough import some

IMAGE = "/boot/initrd.img-7.0.0-38-generic"
KEEP = "/var/lib/halofleet/kernel"
FLAVOURS = ("debian", "fedora", "net")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAUSE_SECONDS", "BACK_SECONDS", "SETTLED_SECONDS"):
        monkeypatch.setattr(reboot, name, 0.1)


def prepared(stages: Stages, flavour: str) -> tuple[Stage, SimHost]:
    if flavour != "net":
        return box(stages, flavour)
    stage, sim = box(stages, "ubuntu", loader="net")
    sim.files.real(IMAGE).write_text("an image\n")
    for name in ("update-initramfs", "lsinitrd"):
        sim._put_program(name)
    sim.files.real("/etc/modprobe.d").mkdir(exist_ok=True)
    return stage, sim


def images(sim: SimHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """update-initramfs says what modprobe's options were when it ran."""
    model = sim.programs["update-initramfs"]

    def made(call: Call) -> Reply:
        options = sim.files.real("/etc/modprobe.d/halofleet-kernel.conf")
        sim.files.real(IMAGE).write_text(f"an image\n{options.read_text() if options.exists() else ''}")
        return model(call)

    monkeypatch.setitem(sim.programs, "update-initramfs", made)


def scripts(stages: Stages, flavour: str, monkeypatch: pytest.MonkeyPatch, *, undo: bool) -> tuple[SimHost, list[str]]:
    """A box as it is when nothing interrupts, and the last of its scripts in all ways of being killed."""
    with monkeypatch.context() as patch:
        said = listen(patch, operations)
        stage, sim = prepared(stages, flavour)
        images(sim, patch)
        before = boot_files(sim)
        stage.run("kernel", sim)
        if undo:
            back(stage, sim)
            assert boot_files(sim) == before
    return sim, list(cut(said[-1], after="trap 'exit 1' HUP INT TERM"))


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_killed_between_any_two_lines(
    stages: Stages, flavour: str, undo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, ways = scripts(stages, flavour, monkeypatch, undo=undo)
    assert len(ways) > 2
    for text in some(ways, first=FLAVOURS.index(flavour), every=len(FLAVOURS)):
        stage, sim = prepared(stages, flavour)
        images(sim, monkeypatch)
        if undo:
            stage.run("kernel", sim)
        with monkeypatch.context() as patch, suppress(PyinfraError):  # no host is left
            patch.setattr(operations, "job", lambda name, _, text=text: real_job(name, text))
            assert not (back(stage, sim) if undo else stage.run("kernel", sim, dies_after=999)).ended
        sim.reboot()
        _ = back(stage, sim) if undo else stage.run("kernel", sim)
        assert boot_files(sim) == boot_files(whole), text
        assert (back(stage, sim) if undo else stage.run("kernel", sim)).flat == [], text
        assert sim.files.real(KEEP).exists() is not undo


def test_an_argument_that_is_wanted_no_more_goes_though_the_run_was_killed(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, sim = box(stages, "debian")
    stage.change(defaults__iommu="pt")
    stage.run("kernel", sim)
    stage.change(defaults__iommu=None)
    with monkeypatch.context() as patch:
        patch.setattr(
            operations, "job", lambda name, text: real_job(name, text.replace('echo "== update-grub"', "kill -9 $$"))
        )
        stage.run("kernel", sim, dies_after=999)
    stage.run("kernel", sim)
    assert "iommu=pt" not in linux(sim)[0]


def test_what_somebody_else_gives_by_now_is_theirs(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    stage.run("kernel", sim)
    with sim.files.real("/etc/default/grub").open("a") as file:
        file.write(f'GRUB_CMDLINE_LINUX="{LIMIT}"\n')
    assert stage.run("kernel", sim).ended
    assert linux(sim)[0] == f"{LIMIT} quiet"
    assert not sim.files.real("/etc/default/grub.d/99-halofleet.cfg").exists()
    assert stage.run("kernel", sim).flat == []


def test_fedora_the_copy_has_none_of_our_arguments_and_a_dead_entry_is_no_way_out(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    stage.run("kernel", sim)
    older = FEDORA_ENTRY.replace("6.19.12", "6.18.9")
    sim.files.real("/boot/vmlinuz-6.18.9-200.fc43.x86_64").unlink()  # its entry boots nothing now
    assert steps(stage.run("kernel", sim)) == ["job kernel"]
    copy = sim.text(FEDORA_ENTRY.replace("6.19.12-200.fc43.x86_64", "0-halofleet"))
    assert "ttm." not in copy
    assert "rhgb quiet $tuned_params\n" in copy
    assert sim.files.real(older).exists(), "not ours to remove"
    assert stage.run("kernel", sim).flat == []


def test_a_boot_that_came_without_is_not_tried_again_by_every_run(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts another boot loader than the one that was set up."""
    stage, sim = box(stages, "debian")
    monkeypatch.setattr(sim.boot, "_booted", lambda: "BOOT_IMAGE=/other root=UUID=1 ro quiet")
    assert "systemctl reboot" in steps(stage.run("kernel", sim, dies_after=999))
    for _ in range(2):
        turns = sim.boot.turns
        assert not stage.run("kernel", sim, dies_after=999).ended
        assert sim.boot.turns == turns
    monkeypatch.undo()
    sim.reboot()
    assert stage.run("kernel", sim).flat == []


@pytest.mark.parametrize("flavour", LOADERS)
def test_a_menu_that_asks_for_a_passphrase_itself_is_not_rebooted(stages: Stages, flavour: str) -> None:
    """The key file of crypttab is in the initramfs, which GRUB has to read first."""
    stage, sim = box(stages, flavour)
    sim.files.real("/etc/crypttab").write_text("root UUID=1 /etc/keys/root.key luks\n")
    menu = sim.files.real("/boot/grub2/grub.cfg" if flavour == "fedora" else "/etc/grub.d/00_header")
    text = "cryptomount -u 1234\n"
    if flavour == "fedora":
        menu.write_text(menu.read_text() + text)
    else:
        menu.write_text(f"#!/bin/sh\necho '{text.strip()}'\n")
        menu.chmod(0o755)
        sim.execute("update-grub")
    assert steps(stage.run("kernel", sim)) == ["job kernel"]
