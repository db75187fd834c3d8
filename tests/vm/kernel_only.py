"""The kernel role alone, as cluster.py runs it; the guest has no 6 GiB to leave, so the ceiling comes from here.

`--data bad=WORD`: that argument too; `reboot=never`: as lab.yml says it.
"""

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
if host.data.get("reboot"):
    plan = replace(plan, reboots=host.data.reboot != "never")
if host.data.get("bad"):
    kernel.plan.IOMMU["bad"] = host.data.bad
    plan = replace(plan, iommu="bad")
kernel.kernel(plan=plan)
