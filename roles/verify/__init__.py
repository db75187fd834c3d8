"""The cluster, looked at: the last thing cluster.py does."""

from __future__ import annotations

from pyinfra.api import deploy
from pyinfra.context import host

from roles.verify.operations import all_well, answers, ended, looked_at
from roles.verify.plan import Check


@deploy("verify")
def verify(plan: Check) -> None:
    looked_at(check=plan, name="look at every node")
    all_well(name="all well")
    for server in host.loop(plan.servers):
        answers(server=server, name=f"{server.serve} answers")
    ended(name="the end")
