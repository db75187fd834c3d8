"""The kernel role alone, as cluster.py runs it; the guest has no 6 GiB to leave, so the ceiling comes from here."""

from dataclasses import replace

from pyinfra.context import host

from roles import kernel, preflight
from roles.lib.end import every_node_answers

PAGES = 65536
"""256 MiB."""

lab, name = host.data.lab, host.name
every_node_answers(host.state)
preflight.lock(plan=preflight.plan.plan(lab, name))
plan = replace(kernel.plan.plan(lab, name), gpu=PAGES, least=0, asked=True)
if host.data.get("undo"):
    kernel.given_back(plan=plan)
else:
    kernel.kernel(plan=plan)
