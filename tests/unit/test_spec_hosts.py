"""pyinfra's side of the inventory, and the command line: what a host gets, and how a broken file is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inventory.spec import Lab, pyinfra_groups
from inventory.spec.__main__ import schema

ROOT = Path(__file__).parents[2]
INVENTORY = ROOT / "inventory"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("HALOFLEET_HOME", str(folder))
    return folder


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A second lab: a copy of both files under another name."""
    for ending in ("py", "yml"):
        shutil.copy(INVENTORY / f"lab.{ending}", tmp_path / f"second.{ending}")
    return tmp_path / "second.py"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def debug_inventory(lab_py: Path) -> subprocess.CompletedProcess[str]:
    return run(str(Path(sys.executable).parent / "pyinfra"), "--json", str(lab_py), "debug-inventory")


def hosts(lab_py: Path) -> dict[str, dict[str, Any]]:
    """The data of all hosts."""
    return dict(host for host in pyinfra_groups(str(lab_py))["all"] if isinstance(host, tuple))


def test_what_a_host_gets(own_home: Path) -> None:
    groups = pyinfra_groups(str(INVENTORY / "lab.py"))
    assert list(groups) == ["all"]
    assert list(hosts(INVENTORY / "lab.py")) == ["@halo/halo1", "@halo/halo2", "@halo/halo3"]
    data = hosts(INVENTORY / "lab.py")["@halo/halo2"]
    lab = data.pop("lab")
    assert isinstance(lab, Lab)
    assert data == {
        "ssh_hostname": "10.43.0.12",
        "ssh_user": "root",
        "ssh_port": 22,
        "ssh_key": str(own_home / "labs/lab/id_ed25519"),
        "ssh_known_hosts_file": str(own_home / "labs/lab/known_hosts"),
        "ssh_strict_host_key_checking": "accept-new",
        "_sudo": False,
    }


def test_known_hosts_is_made_once_and_kept(own_home: Path) -> None:
    known_hosts = own_home / "labs/lab/known_hosts"
    pyinfra_groups(str(INVENTORY / "lab.py"))
    assert known_hosts.read_text() == ""
    assert known_hosts.parent.stat().st_mode & 0o777 == 0o700
    known_hosts.write_text("halo1 ssh-ed25519 AAAA\n")
    pyinfra_groups(str(INVENTORY / "lab.py"))
    assert known_hosts.read_text() == "halo1 ssh-ed25519 AAAA\n"


def test_another_user_becomes_root_by_sudo(second: Path) -> None:
    lab_yml = second.with_suffix(".yml")
    text = lab_yml.read_text().replace("virtual: {suite: trixie}\n", "")
    text = text.split("links:\n")[0] + "llama_cpp:" + text.split("llama_cpp:")[1].replace("workers: [halo2, halo3]", "")
    lab_yml.write_text(text.replace("{os: debian-13,", "{ssh: {user: admin, key: /k}, os: debian-13,"))
    data = hosts(second)["@halo/halo1"]
    assert (data["ssh_user"], data["_sudo"], data["ssh_key"]) == ("admin", True, "/k")


def test_a_copy_is_a_lab_of_its_own(second: Path) -> None:
    told = debug_inventory(second)
    assert told.returncode == 0
    found = json.loads(told.stdout)
    assert [host["name"] for host in found] == ["halo1", "halo2", "halo3"]
    assert {tuple(host["groups"]) for host in found} == {("second",)}
    assert {host["data"]["lab"]["name"] for host in found} == {"second"}


def test_a_group_is_a_group_of_pyinfras(second: Path) -> None:
    text = second.with_suffix(".yml").read_text()
    for node in ("halo2", "halo3"):
        text = text.replace(f"{node}: {{id", f"{node}: {{group: big, id")
    second.with_suffix(".yml").write_text(text.replace("nodes:", "groups: {big: {}, small: {}}\nnodes:", 1))
    assert pyinfra_groups(str(second)) | {"all": []} == {"big": ["@halo/halo2", "@halo/halo3"], "small": [], "all": []}
    told = debug_inventory(second)
    assert told.returncode == 0
    assert "warning: groups.small: no node is in it\n" in told.stderr
    found = {host["name"]: sorted(host["groups"]) for host in json.loads(told.stdout)}
    assert found == {"halo1": ["second"], "halo2": ["big", "second"], "halo3": ["big", "second"]}


def test_a_broken_lab_stops_pyinfra_before_ssh(second: Path) -> None:
    lab_yml = second.with_suffix(".yml")
    lab_yml.write_text(lab_yml.read_text().replace("address: 10.43.0.12", "adress: 10.43.0.12"))
    told = debug_inventory(second)
    assert (told.returncode, told.stdout) == (2, "")
    assert f'{lab_yml}:14: nodes.halo2.adress: unknown key "adress"; did you mean "address"?\n' in told.stderr
    assert "Traceback" not in told.stderr


def test_a_home_that_cannot_be_made(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_home.write_text("a file is in the way")
    with pytest.raises(SystemExit) as stopped:
        pyinfra_groups(str(INVENTORY / "lab.py"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_schema_is_up_to_date() -> None:
    """To write it again: python -m inventory.spec schema > inventory/schema.json"""
    assert (INVENTORY / "schema.json").read_text() == schema()


def test_the_command_line(second: Path) -> None:
    python = (sys.executable, "-m", "inventory.spec")
    assert run(*python, "schema").stdout == schema()
    told = run(*python, "check", "inventory/lab.yml")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "inventory/lab.yml: ok: 3 nodes, 3 links, 1 serves\n"
    second.with_suffix(".yml").write_text("nodes: *a\n")
    told = run(*python, "check", os.fspath(second.with_suffix(".yml")))
    assert (told.returncode, told.stdout) == (2, "")
