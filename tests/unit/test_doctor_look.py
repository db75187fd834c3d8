"""The doctor's script on a made-up tree of files: what it reads, and what it makes of odd ones."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from roles.doctor.answer import parse
from roles.doctor.box import Box
from roles.doctor.look import SCRIPT


def look(root: Path) -> Box:
    """The script with all of its absolute paths below the root; what it prints must be ASCII."""
    script = re.sub(r"(?<![\w.}~/-])/(?=(?:boot|etc|opt|proc|run|sys)\b)", f"{root}/", SCRIPT)
    done = subprocess.run(["sh", "-c", script], capture_output=True, env={"PATH": os.environ["PATH"]}, check=True)
    return parse(done.stdout.decode("ascii").replace(str(root), "").splitlines())


def put(root: Path, path: str, content: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def device(root: Path, bdf: str, ids: tuple[str, str], **more: str) -> None:
    for name, text in {"vendor": ids[0], "device": ids[1], **more}.items():
        put(root, f"sys/bus/pci/devices/{bdf}/{name}", f"{text}\n")


def test_the_gpu_is_known_by_its_pci_id(tmp_path: Path) -> None:
    """Not by its class (VGA 0300 or display 0380), its place in the list or its card's number."""
    device(tmp_path, "0000:01:00.0", ("0x1002", "0x7550"), mem_info_gtt_total="1")
    device(
        tmp_path, "0000:bd:00.0", ("0x1002", "0x1586"), **{"class": "0x038000", "mem_info_gtt_total": "103079215104"}
    )
    gpu = look(tmp_path).gpu
    assert gpu is not None
    assert (gpu.bdf, gpu.gtt) == ("0000:bd:00.0", 103079215104)


def test_a_line_of_grubs_settings_may_go_on_in_the_next(tmp_path: Path) -> None:
    put(tmp_path, "etc/default/grub", 'GRUB_CMDLINE_LINUX="quiet \\\n  ttm.pages_limit=25165824 \\\n  splash" # mine\n')
    (line,) = [line for line in look(tmp_path).lines if line.where == "/etc/default/grub"]
    assert line.text.split() == ["quiet", "ttm.pages_limit=25165824", "splash"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path, "etc/default/grub", b'GRUB_CMDLINE_LINUX="k\xfcche a=1"\n\0\xff\xfe\n')
    put(tmp_path, "sys/class/dmi/id/product_name", b"GTR\xa0Pro\n")
    seen = look(tmp_path)
    (line,) = [line for line in seen.lines if line.where == "/etc/default/grub"]
    assert line.text == "k?che a=1"
    assert seen.dmi["product_name"] == "GTR?Pro"


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "etc/default/grub").mkdir(parents=True)
    put(tmp_path, "etc/default/grub.d/a.cfg", "GRUB_CMDLINE_LINUX=quiet\n")
    assert [line.text for line in look(tmp_path).lines if line.when == "will boot with"] == ["quiet"]
