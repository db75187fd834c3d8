"""The kernel role alone, as cluster.py runs it; the guest has no 6 GiB to leave, so the ceiling comes from here.

`--data undo=yes`: given back; `bad=WORD`: that argument too; `reboot=never`: as lab.yml says it.
"""

from dataclasses import replace

from pyinfra.context import host

from roles import kernel, preflight
from roles.lib.end import every_node_answers

PAGES = 65536
"""256 MiB."""

lab, name = host.data.lab, host.name
every_node_answers(host.state)
expected = preflight.plan.plan(lab, name)
# Nothing is compiled here, so the room for that is not needed; and no link is put up.
preflight.preflight(plan=replace(expected, release=replace(expected.release, builder=""), interfaces=()))
plan = replace(kernel.plan.plan(lab, name), gpu=PAGES, least=0, asked=True)
if host.data.get("reboot"):
    plan = replace(plan, reboots=host.data.reboot != "never")
if host.data.get("bad"):
    kernel.plan.IOMMU["bad"] = host.data.bad
    plan = replace(plan, iommu="bad")
if host.data.get("undo"):
    kernel.given_back(plan=plan)
else:
    kernel.kernel(plan=plan)
