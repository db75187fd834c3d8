"""The lab as pyinfra wants it: a list of hosts with their data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from inventory.spec import home
from inventory.spec.errors import LabError
from inventory.spec.lab import Lab
from inventory.spec.load import load


def pyinfra_hosts(lab_py: str) -> list[tuple[str, dict[str, Any]]]:
    """The hosts of the .yml beside the given .py, by name.

    Nothing is contacted before the file is right: a file that is not ends the process with status 2 and its report on
    standard error.
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
    return [(f"@halo/{name}", _data(lab, name)) for name in sorted(lab.spec.nodes)]


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
