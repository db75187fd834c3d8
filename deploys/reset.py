"""Gives back what halofleet changed of the boxes' own settings: pyinfra inventory/lab.py deploys/reset.py

The kernel's arguments are as they were before halofleet, from the next boot on; nothing is rebooted here. tuned's
profile, the services that compete with it, sleep and automatic upgrades are as they were at once. Services, packages,
releases and models stay. One node alone: --limit NAME. The next cluster.py would write it all again.
"""

from pyinfra.context import host

from roles import kernel, preflight, quiet, tuning
from roles.lib.end import every_node_answers

lab, name = host.data.lab, host.name

every_node_answers(host.state)

preflight.lock(plan=preflight.plan.plan(lab, name))
kernel.given_back(plan=kernel.plan.plan(lab, name))
tuning.given_back(plan=tuning.plan.plan(lab, name))
quiet.given_back(plan=quiet.plan.plan(lab, name))
