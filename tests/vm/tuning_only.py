"""The tuning role alone, as cluster.py runs it."""

from pyinfra.context import host

from roles import tuning
from roles.lib.end import every_node_answers

lab, name = host.data.lab, host.name
every_node_answers(host.state)
plan = tuning.plan.plan(lab, name)
if host.data.get("undo"):
    tuning.given_back(plan=plan)
else:
    tuning.tuning(plan=plan)
