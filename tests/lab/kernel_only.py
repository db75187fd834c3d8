"""The kernel role alone, as cluster.py runs it; `--data back_seconds=N` is how long a node may be away."""

from pyinfra.context import host

from roles import kernel, preflight
from roles.kernel import reboot
from roles.lib.end import every_node_answers

reboot.BACK_SECONDS = int(host.data.get("back_seconds", reboot.BACK_SECONDS))
lab, name = host.data.lab, host.name
every_node_answers(host.state)
preflight.lock(plan=preflight.plan.plan(lab, name))
kernel.kernel(plan=kernel.plan.plan(lab, name))
