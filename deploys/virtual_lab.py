"""Build the lab's virtual hosts on this machine: `pyinfra -y @local deploys/virtual_lab.py [--data lab=PATH]`."""

from __future__ import annotations

import os
from pathlib import Path

from pyinfra import host

from inventory.spec import LabError, load
from inventory.spec.home import home
from roles.lib.stop import Refused
from roles.virtual_host import virtual_host
from roles.virtual_host.names import Instance, instance_name
from roles.virtual_host.wanted import wanted

checkout = Path(__file__).resolve().parents[1]
path = Path(host.data.get("lab") or checkout / "inventory" / "lab.yml")
try:
    lab = load(path)
    instance = Instance(instance_name(os.environ, checkout), home().resolve(), checkout)
except (LabError, ValueError) as error:
    raise Refused(str(error)) from None
if lab.spec.virtual is None:
    raise Refused(f"{path}: has no `virtual:` section: its nodes are not virtual hosts")

virtual_host(lab=wanted(lab, instance))
