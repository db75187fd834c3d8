"""kernel on boxes that somebody had hands on: settings that are no shell, tuned's lines, menus out of joint.

Whatever is wrong, the box still boots what it booted before.
"""

from __future__ import annotations

import pytest

from roles.kernel import reboot
from roles.lib.stop import Refused
from tests.sim.boot import DEFAULT_GRUB, MACHINE
from tests.sim.host import SimHost
from tests.sim.shell import Call, Reply
from tests.sim.test_kernel import FEDORA_ENTRY, LIMIT, LOADERS, Stages, back, boot_files, box, linux, steps

SETTINGS = "/etc/default/grub"
DROPIN = "/etc/default/grub.d/50-mine.cfg"
OLDER = FEDORA_ENTRY.replace("6.19.12", "6.18.9")
TUNED = """\
GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT:+$GRUB_CMDLINE_LINUX_DEFAULT }\\$tuned_params"
GRUB_INITRD_OVERLAY="${GRUB_INITRD_OVERLAY:+$GRUB_INITRD_OVERLAY }\\$tuned_initrd"
"""
"""What tuned's bootloader plugin appends to /etc/default/grub where there are no BLS entries (tuned 2.20.0)."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAUSE_SECONDS", "BACK_SECONDS", "SETTLED_SECONDS"):
        monkeypatch.setattr(reboot, name, 0.1)


def put(sim: SimHost, path: str, content: bytes | None) -> None:
    """None: a directory in its place."""
    real = sim.files.real(path)
    real.parent.mkdir(exist_ok=True)
    real.unlink(missing_ok=True)
    if content is None:
        real.mkdir()
    else:
        real.write_bytes(content)


@pytest.mark.parametrize("path", [SETTINGS, DROPIN])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "{path} is not a file"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00GRUB_CMDLINE_LINUX=\xff\xfe\n", "{path} is not text"),
        (b'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX="quiet\n', "{path}: "),
        (b"if true; then\n", "{path}: "),
    ],
)
def test_settings_that_the_shell_cannot_read_are_refused(
    stages: Stages, path: str, content: bytes | None, said: str
) -> None:
    stage, sim = box(stages, "debian")
    put(sim, path, content)
    seen = sim.fingerprint()
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert f"halo2: boot loader's settings: {said.format(path=path)}" in str(refused.value)
    assert "expected: files that the shell can read; mend it" in str(refused.value)
    assert sim.fingerprint() == seen


def test_settings_that_broke_later_stop_no_run_that_has_nothing_to_do(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    stage.run("kernel", sim)
    put(sim, SETTINGS, None)
    assert stage.run("kernel", sim).flat == []


@pytest.mark.parametrize("content", [b"\xe9\xff rubbish of bytes\n", b"GRUB_TIMEOUT=5\nno-such-program\n", b"exit 3\n"])
def test_settings_at_which_update_grub_fails_are_taken_back(stages: Stages, content: bytes) -> None:
    """The shell's grammar is content with them."""
    stage, sim = box(stages, "debian")
    put(sim, SETTINGS, content)
    before = boot_files(sim)
    run = stage.run("kernel", sim, dies_after=999)
    assert (run.ended, steps(run)) == (False, ["job kernel"])
    assert boot_files(sim) == before


@pytest.mark.parametrize("flavour", LOADERS)
def test_a_name_in_another_encoding_stays_as_it_is(stages: Stages, flavour: str) -> None:
    stage, sim = box(stages, flavour)
    comment = "# für den Küchenrechner\n".encode("latin-1")
    put(sim, SETTINGS, comment + sim.files.real(SETTINGS).read_bytes())
    before = boot_files(sim)
    stage.run("kernel", sim)
    assert sim.files.real(SETTINGS).read_bytes().startswith(comment)
    back(stage, sim)
    assert boot_files(sim) == before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('GRUB_CMDLINE_LINUX="quiet \\\n  ttm.pages_limit=1 \\\n  splash"\n', "line 1"),
        ('# mine\nGRUB_CMDLINE_LINUX="quiet ttm.pages_limit=1" # as the guide says\n', "line 2"),
        ("export GRUB_CMDLINE_LINUX='quiet ttm.pages_limit=1'\n", "line 1"),
        ('GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX:+$GRUB_CMDLINE_LINUX }"ttm.pages_limit=1\n', "line 1"),
    ],
)
def test_other_values_are_found_however_they_are_written(stages: Stages, text: str, place: str) -> None:
    stage, sim = box(stages, "debian")
    put(sim, DROPIN, text.encode())
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert f"kernel argument: ttm.pages_limit=1 in {DROPIN} {place}; expected: {LIMIT}" in str(refused.value)


def tuned(sim: SimHost, arguments: str) -> None:
    """As tuned leaves a box without BLS entries."""
    put(sim, SETTINGS, (DEFAULT_GRUB + TUNED).encode())
    put(sim, "/etc/tuned/bootcmdline", f'TUNED_BOOT_CMDLINE="{arguments}"\n'.encode())
    script = sim.files.real("/etc/grub.d/00_tuned")
    script.write_text(f"#!/bin/sh\necho 'set tuned_params=\"{arguments}\"'\n")
    script.chmod(0o755)
    sim.execute("update-grub")


def test_beside_tuned_on_grub(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    tuned(sim, "skew_tick=1 tsc=reliable")
    before = boot_files(sim)
    stage.run("kernel", sim)
    assert linux(sim)[0] == f"{LIMIT} quiet $tuned_params"
    assert linux(sim)[-1] == "quiet $tuned_params", "and without ours"
    assert 'set tuned_params="skew_tick=1 tsc=reliable"' in sim.text("/boot/grub/grub.cfg")
    assert stage.run("kernel", sim).flat == []
    back(stage, sim)
    assert boot_files(sim) == before


def test_what_tuned_changes_in_the_meantime_is_tuneds(stages: Stages) -> None:
    stage, sim = box(stages, "debian")
    tuned(sim, "skew_tick=1")
    stage.run("kernel", sim)
    put(sim, SETTINGS, DEFAULT_GRUB.encode())
    sim.files.real("/etc/grub.d/00_tuned").unlink()
    sim.execute("update-grub")
    assert stage.run("kernel", sim).flat == []
    back(stage, sim)
    assert sim.text(SETTINGS) == DEFAULT_GRUB
    assert linux(sim)[0] == "quiet"
    assert "tuned" not in sim.text("/boot/grub/grub.cfg")


def test_fedora_without_its_saved_entry_is_refused(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    sim.boot.saved = f"{MACHINE}-6.17.1-300.fc43.x86_64"
    before = boot_files(sim)
    with pytest.raises(Refused) as refused:
        stage.run("kernel", sim)
    assert "halo2: boot loader: grubby names no default entry; the saved one is gone" in str(refused.value)
    assert "grubby --set-default-index=0" in str(refused.value)
    assert boot_files(sim) == before


@pytest.mark.parametrize("saved", [f"{MACHINE}-6.18.9-200.fc43.x86_64", "1"])
def test_fedora_the_entry_that_boots_is_the_saved_one(stages: Stages, saved: str) -> None:
    stage, sim = box(stages, "fedora")
    sim.boot.saved = saved
    newest, before = sim.text(FEDORA_ENTRY), boot_files(sim)
    stage.run("kernel", sim)
    assert LIMIT in sim.text(OLDER)
    assert sim.text(FEDORA_ENTRY) == newest
    assert LIMIT in sim.text("/proc/cmdline")
    back(stage, sim)
    assert boot_files(sim) == before


def test_fedora_entries_that_are_not_named_after_the_machine(stages: Stages) -> None:
    stage, sim = box(stages, "fedora")
    sim.files.real(OLDER).unlink()
    entry = FEDORA_ENTRY.replace(MACHINE, "fedora")
    sim.files.real(FEDORA_ENTRY).rename(sim.files.real(entry))
    before = boot_files(sim)
    stage.run("kernel", sim)
    assert "without the kernel arguments of halofleet" in sim.text("/boot/loader/entries/fedora-0-halofleet.conf")
    assert "without" not in sim.text(entry)
    assert stage.run("kernel", sim).flat == []
    back(stage, sim)
    assert boot_files(sim) == before


def test_fedora_an_entry_without_a_version_is_left_alone(stages: Stages) -> None:
    """The copy would come first."""
    stage, sim = box(stages, "fedora")
    sim.files.real(OLDER).unlink()
    sim.files.real(FEDORA_ENTRY).rename(sim.files.real("/boot/loader/entries/fedora.conf"))
    before = boot_files(sim)
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert boot_files(sim) == before


def test_fedora_an_argument_that_grubby_would_spoil(stages: Stages) -> None:
    """It writes with sed, to which & is the whole line."""
    stage, sim = box(stages, "fedora")
    real = sim.files.real(FEDORA_ENTRY)
    real.write_text(real.read_text().replace(" quiet", " quiet a=b&c"))
    before = boot_files(sim)
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert boot_files(sim) == before


def test_fedora_entries_that_grub_does_not_read(stages: Stages) -> None:
    """GRUB_ENABLE_BLSCFG=false: the files are there, and the menu has entries of its own."""
    stage, sim = box(stages, "fedora")
    sim.files.real("/boot/grub2/grub.cfg").write_text("menuentry 'Fedora Linux' {\n\tlinux /vmlinuz-6.19.12 ro\n}\n")
    with pytest.raises(Refused, match="halo2: boot loader: unknown; expected: GRUB; add"):
        stage.run("kernel", sim)


@pytest.mark.parametrize("lister", ["lsinitrd", "lsinitramfs"])
def test_an_image_is_made_again_whoever_lists_it(stages: Stages, lister: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu 26.04: dracut, under a wrapper of the old name, and lsinitrd (dracut-ng/dracut issue 2438)."""
    stage, sim = box(stages, "ubuntu", loader="net")
    sim.files.real("/boot/initrd.img-7.0.0-38-generic").write_text("an image\n")
    for name in ("update-initramfs", lister):
        sim._put_program(name)
    made: list[tuple[str, ...]] = []
    model = sim.programs["update-initramfs"]

    def update_initramfs(call: Call) -> Reply:
        made.append(call.words)
        return model(call)

    monkeypatch.setitem(sim.programs, "update-initramfs", update_initramfs)
    stage.run("kernel", sim)
    assert made == [("-u", "-k", "7.0.0-38-generic")]


def test_an_image_that_dracut_cannot_write_stays_as_it_was(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", loader="net")
    image = "/boot/initramfs-6.19.12-200.fc43.x86_64.img"
    sim.files.real(image).write_text("an image\n")
    for name in ("dracut", "lsinitrd"):
        sim._put_program(name)
    before = boot_files(sim)
    sim.boot.broken = "No space left on device\n"
    assert not stage.run("kernel", sim, dies_after=999).ended
    assert boot_files(sim) == before
    sim.boot.broken = ""
    stage.run("kernel", sim)
    assert sim.text(image) == "made by dracut\n"
    assert not sim.files.real(f"{image}.halofleet").exists()


def test_a_boot_without_room_for_another_image_is_refused(stages: Stages) -> None:
    stage, sim = box(stages, "fedora", loader="net")
    sim.files.real("/boot/initramfs-6.19.12-200.fc43.x86_64.img").write_bytes(bytes(3 << 20))
    for name in ("dracut", "lsinitrd"):
        sim._put_program(name)
    sim.boot.room = 3
    with pytest.raises(Refused, match="halo2: free space in /boot: 3 MiB; expected: 4 MiB; remove old kernels"):
        stage.run("kernel", sim)
