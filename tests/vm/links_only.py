"""The network role alone, as cluster.py runs it, on QEMU's card: its driver stands where thunderbolt-net would."""

from pyinfra.context import host

from roles import network, preflight
from roles.lib.end import every_node_answers
from roles.network import ports

ports.DRIVER = "virtio_net"

lab, name = host.data.lab, host.name
every_node_answers(host.state)
preflight.lock(plan=preflight.plan.plan(lab, name))
network.naming(plan=network.names.plan(lab, name))
network.network(plan=network.plan.plan(lab, name))
