"""The lab as pyinfra wants it: hosts with their data, and groups of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from inventory.spec import home
from inventory.spec.errors import LabError
from inventory.spec.lab import Lab
from inventory.spec.load import load

Host = tuple[str, dict[str, Any]]


def pyinfra_groups(lab_py: str) -> dict[str, list[Host] | list[str]]:
    """The hosts of the .yml beside the given .py: `all` of them, and those of each group of the file.

    Nothing is contacted before the file is right: a file that is not ends the process with status 2 and its report on
    standard error. Warnings go there too.
    """
    try:
        lab = load(Path(lab_py).with_suffix(".yml"))
        _make_known_hosts(home.known_hosts(lab.name))
    except LabError as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; $HALOFLEET_HOME says where state is kept", file=sys.stderr)
        sys.exit(2)
    for warning in lab.warnings:
        print(warning, file=sys.stderr)
    groups: dict[str, list[Host] | list[str]] = {
        group: [f"@halo/{name}" for name, node in lab.nodes.items() if node.group == group] for group in lab.spec.groups
    }
    return groups | {"all": [(f"@halo/{name}", _data(lab, name)) for name in sorted(lab.nodes)]}


def _data(lab: Lab, name: str) -> dict[str, Any]:
    ssh = lab.ssh(name)
    data: dict[str, Any] = {
        "lab": lab,
        "ssh_hostname": str(lab.node(name).address),
        "ssh_user": ssh.user,
        "ssh_port": ssh.port,
        "ssh_known_hosts_file": str(home.known_hosts(lab.name)),
        "ssh_strict_host_key_checking": "accept-new",
        "_sudo": ssh.user != "root",
    }
    if ssh.key is not None:
        data["ssh_key"] = str(ssh.key)
    return data


def _make_known_hosts(path: Path) -> None:
    """Empty at first; host keys are recorded at first contact and strict from then on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
