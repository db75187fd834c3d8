"""Models that a node fetches, and models in parts, served by the real llama-server."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.harness import ROOT, Lab

WEIGHT = 4
FOLDER = "/var/lib/halofleet/models"
PARTS = 12
"""Tensors in a part; the shipped model has 75."""

SPLIT = f"""
import sys
from functools import partial
from pathlib import Path
from gguf import GGUFWriter
from roles.models import random_gguf
random_gguf.GGUFWriter = partial(GGUFWriter, split_max_tensors={PARTS})
random_gguf.write(Path(sys.argv[1]), Path(sys.argv[2]), 4, 128)
"""


@dataclass(frozen=True)
class Web:
    """A folder of the control machine that the nodes can read over HTTP; see tests/files_server.py."""

    folder: Path
    url: str

    @property
    def ranges(self) -> list[str]:
        """What the GET requests asked for; empty for the whole."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split(" ")[2] for line in lines if line.startswith("GET")]


def with_model(lab: Lab, folder: Path, model: dict[str, Any]) -> Lab:
    """The same hosts and lab name; halo1 serves this model alone."""
    data = yaml.safe_load(lab.yml.read_text())
    data["models"] = {"other": model}
    data["serves"] = {"chat": {"model": "other", "controller": "halo1", "context": 512}}
    (folder / "test.yml").write_text(yaml.safe_dump(data))
    (folder / "test.py").write_text(lab.inventory.read_text())
    return Lab(folder, lab.instance, lab.addresses)


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    """Each test begins without its model, and the lab gets its own back at the end."""
    yield
    lab.ssh("halo1", f"systemctl stop 'halofleet-fetch-*' 2>/dev/null; rm -rf {FOLDER}/other* /srv/models; true")
    lab.cluster().ok()


@pytest.fixture(scope="module")
def model(lab: Lab) -> Path:
    """A GGUF with random weights, on this machine."""
    lab.cluster().ok()
    return next((lab.home() / "cache/models").glob("nonsense-*.gguf"))


@pytest.fixture
def web(lab: Lab, model: Path, tmp_path: Path) -> Iterator[Web]:
    """On this machine's own address in the management network."""
    folder = tmp_path / "web"
    folder.mkdir()
    shutil.copy(model, folder / "m.gguf")
    management = IPv4Network(yaml.safe_load(lab.yml.read_text())["management"])
    address = str(management.network_address + 1)
    command = [sys.executable, str(ROOT / "tests/files_server.py"), str(folder), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield Web(folder, f"http://{address}:{int(server.stdout.readline())}")
        server.terminate()


@pytest.fixture(scope="module")
def parts(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model in parts."""
    folder = tmp_path_factory.mktemp("parts")
    command = [sys.executable, "-c", SPLIT, str(model), str(folder / "big one.gguf")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    assert len(list(folder.iterdir())) == 4
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def opened(lab: Lab) -> str:
    """What llama-server was told to open."""
    return lab.ssh(
        "halo1", "tr '\\0' '\\n' </proc/$(pidof llama-server)/cmdline | grep -A1 -x -e --model"
    ).splitlines()[1]


def wait_for(lab: Lab, script: str) -> None:
    deadline = time.monotonic() + 60
    while lab.ssh("halo1", f"{script} && echo yes || echo no").strip() != "yes":
        assert time.monotonic() < deadline, script
        time.sleep(0.2)


def models_only(lab: Lab) -> list[str]:
    return ["-y", str(lab.inventory), "tests/lab/models_only.py"]


def test_the_node_fetches_and_serves_it(lab: Lab, web: Web, tmp_path: Path) -> None:
    other = with_model(lab, tmp_path, {"url": f"{web.url}/plain/m.gguf", "sha256": sha256(web.folder / "m.gguf")})
    run = other.cluster().ok()
    assert run.out.splitlines()[-1].startswith("ready: ")
    assert opened(lab) == f"{FOLDER}/other.gguf"
    assert web.ranges == [""]
    again = other.cluster("--json", trace=tmp_path / "trace").ok()
    assert again.totals["success"] == 0
    assert web.ranges == [""]
    print("remote commands:", dict(again.commands))


def test_the_fetch_outlives_the_control_machine_and_the_next_run_attaches(lab: Lab, web: Web, tmp_path: Path) -> None:
    digest = sha256(web.folder / "m.gguf")
    other = with_model(lab, tmp_path, {"url": f"{web.url}/slow/m.gguf", "sha256": digest})
    victim = other.start(*models_only(other))
    wait_for(lab, f"[ $(cat {FOLDER}/other.gguf.*.part | wc -c) -gt 5000000 ]")
    victim.kill()
    victim.communicate(timeout=60)
    run = other.pyinfra(*models_only(other)).ok()
    assert "fetch-other: already under way, attaching" in run.err
    assert "/48] MiB of http" in run.err
    assert web.ranges == [""], "one fetch in all"
    assert digest in lab.ssh("halo1", f"sha256sum {FOLDER}/other.gguf")


def test_a_fetch_that_was_killed_on_the_node_goes_on_where_it_was(lab: Lab, web: Web, tmp_path: Path) -> None:
    digest = sha256(web.folder / "m.gguf")
    other = with_model(lab, tmp_path, {"url": f"{web.url}/slow/m.gguf", "sha256": digest})
    victim = other.start(*models_only(other))
    wait_for(lab, f"[ $(cat {FOLDER}/other.gguf.*.part | wc -c) -gt 5000000 ]")
    lab.ssh("halo1", "systemctl kill -s KILL halofleet-fetch-other")
    out, _ = victim.communicate(timeout=60)
    assert victim.returncode == 1, out
    came = int(lab.ssh("halo1", f"stat -c %s {FOLDER}/other.gguf.*.part"))
    other = with_model(lab, tmp_path, {"url": f"{web.url}/plain/m.gguf", "sha256": digest})
    other.pyinfra(*models_only(other)).ok()
    assert web.ranges == ["", f"bytes={came}-"]
    assert digest in lab.ssh("halo1", f"sha256sum {FOLDER}/other.gguf")


def test_a_wrong_sum_and_too_little_room_are_said(lab: Lab, web: Web, tmp_path: Path) -> None:
    url = f"{web.url}/plain/m.gguf"
    run = with_model(lab, tmp_path, {"url": url, "sha256": "0" * 64}).cluster()
    assert run.status == 1
    came = sha256(web.folder / "m.gguf")
    assert f"models.other: {url} has sha256 {came}, the inventory says {'0' * 64}; the file is removed" in run.err
    assert "Traceback" not in run.err
    assert lab.ssh("halo1", f"ls {FOLDER}/other* 2>/dev/null || true") == ""
    lab.ssh("halo1", f"mount -t tmpfs -o size=20m,mode=755 tmpfs {FOLDER}")
    try:
        other = with_model(lab, tmp_path, {"url": url, "sha256": came})
        run = other.pyinfra(*models_only(other))
    finally:
        lab.ssh("halo1", f"umount {FOLDER}")
    assert run.status == 1
    assert f"48 MiB are still to come, {FOLDER} has 20 MiB free; make room on this node" in run.err


def test_a_model_in_parts_is_sent_and_served(lab: Lab, parts: Path, tmp_path: Path) -> None:
    other = with_model(lab, tmp_path, {"directory": str(parts)})
    run = other.cluster().ok()
    assert run.out.splitlines()[-1].startswith("ready: ")
    assert opened(lab) == f"{FOLDER}/other/big one-00001-of-00004.gguf"
    assert other.cluster("--json").ok().totals["success"] == 0
    # The same, where the user has put it on the node.
    lab.ssh("halo1", f"mkdir -p /srv/models && cp -r {FOLDER}/other /srv/models/big && rm /srv/models/big/*.sha256")
    there = with_model(lab, tmp_path, {"directory": "/srv/models/big", "on": "node"})
    there.cluster().ok()
    assert opened(lab) == "/srv/models/big/big one-00001-of-00004.gguf"
    assert there.cluster("--json").ok().totals["success"] == 0
    lab.ssh("halo1", "rm '/srv/models/big/big one-00003-of-00004.gguf'")
    run = there.cluster()
    assert run.status == 2
    assert "models.other: /srv/models/big on this node: missing or empty: big one-00003-of-00004.gguf" in run.err
    assert "Traceback" not in run.err
