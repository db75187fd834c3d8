"""The kernel role alone, as cluster.py runs it; `--data back_seconds=N` is how long a node may be away."""

from dataclasses import replace

from pyinfra.context import host

from roles import kernel, preflight
from roles.kernel import reboot
from roles.lib.end import every_node_answers

reboot.BACK_SECONDS = int(host.data.get("back_seconds", reboot.BACK_SECONDS))
lab, name = host.data.lab, host.name
every_node_answers(host.state)
expected = preflight.plan.plan(lab, name)
# Nothing is compiled here, so the room for that is not needed.
preflight.preflight(plan=replace(expected, release=replace(expected.release, builder="")))
kernel.kernel(plan=kernel.plan.plan(lab, name))
