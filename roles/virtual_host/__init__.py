"""The virtual lab: booted systemd-nspawn hosts on this machine, on a bridge of their own and linked as lab.yml says.

It runs on `@local`. What is there already is left alone: a host is restarted only when what it is made of differs.
"""

from __future__ import annotations

from pyinfra.api import deploy

from roles.virtual_host import down, operations
from roles.virtual_host.names import Instance
from roles.virtual_host.wanted import Wanted


@deploy("virtual lab")
def virtual_host(lab: Wanted) -> None:
    operations.allowed(lab=lab, name="is this machine able to")
    operations.tools(lab=lab, name="tools", _ignore_errors=True)
    operations.tools_present(lab=lab, name="tools are there")
    operations.images(lab=lab, name="images")
    operations.bases(lab=lab, name="base trees")
    operations.keys(lab=lab, name="keys")
    operations.stale_hosts(lab=lab, name="stop what differs")
    operations.bridge(lab=lab, name="bridge and the way out")
    operations.namespaces(lab=lab, name="network namespaces")
    operations.links(lab=lab, name="links")
    operations.hosts(lab=lab, name="hosts")
    operations.answering(lab=lab, name="hosts answer")


@deploy("virtual lab down")
def virtual_host_down(instance: Instance) -> None:
    down.processes(instance=instance, name="processes")
    down.network(instance=instance, name="namespaces, bridge and the way out")
    down.files(instance=instance, name="hosts' files")
