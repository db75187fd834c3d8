"""Take this checkout's virtual hosts down; caches stay: `pyinfra -y @local deploys/virtual_lab_down.py`."""

from __future__ import annotations

import os
from pathlib import Path

from inventory.spec.home import home
from roles.lib.stop import Refused
from roles.virtual_host import virtual_host_down
from roles.virtual_host.names import Instance, instance_name

checkout = Path(__file__).resolve().parents[1]
try:
    instance = Instance(instance_name(os.environ, checkout), home().resolve(), checkout)
except ValueError as error:
    raise Refused(str(error)) from None

virtual_host_down(instance=instance)
