"""The network role alone, as cluster.py runs it, on QEMU's card: its driver stands where thunderbolt-net would.

Without preflight, whose look at the box takes 13 s here.
"""

from pyinfra.context import host

from roles import network
from roles.lib.end import every_node_answers
from roles.network import ports

ports.DRIVER = "virtio_net"

lab, name = host.data.lab, host.name
every_node_answers(host.state)
network.naming(plan=network.names.plan(lab, name))
network.network(plan=network.plan.plan(lab, name))
