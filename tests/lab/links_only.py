"""A verb for the tests: the firewall and the links as cluster.py sets them up. `--data cut=firewall` or `cut=network`:
with a change in it that cuts SSH, which no inventory can ask for."""

from dataclasses import replace

from pyinfra.context import host

from roles import base, firewall, network, preflight
from roles.firewall.plan import Firewall
from roles.lib.end import every_node_answers
from roles.lib.paths import File
from roles.network.plan import Network

lab, name, cut = host.data.lab, host.name, host.data.get("cut", "")


def _closed(plan: Firewall) -> tuple[File, ...]:
    """What is open lives on, as in most firewalls; nobody new comes in."""
    ssh = f"tcp dport {plan.ssh} "
    return tuple(
        replace(file, content=file.content.replace(f"{ssh}accept", f"{ssh}ct state new drop"))
        for file in firewall.plan.files(plan)
    )


def _away(plan: Network) -> Network:
    """The interface that SSH comes in by gets another address."""
    foreign = replace(plan.interfaces[0], name="host0", address="10.99.0.1/24", routes=())
    return replace(plan, interfaces=(*plan.interfaces, foreign))


if cut == "firewall":
    vars(firewall.operations)["files"] = _closed

every_node_answers(host.state)
preflight.lock(plan=preflight.plan.plan(lab, name))
base.base(plan=base.plan.plan(lab, name))
firewall.firewall(plan=firewall.plan.plan(lab, name))
network.naming(plan=network.names.plan(lab, name))
links = network.plan.plan(lab, name)
network.network(plan=_away(links) if cut == "network" else links)
