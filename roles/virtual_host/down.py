"""The steps from whatever is there of an instance to nothing: by name, without a lab.yml, from any half-way point."""

from __future__ import annotations

from pyinfra.api import operation

from roles.lib.remote import Commands, current
from roles.virtual_host.commands import hold, look_back, must_be_root, script, words
from roles.virtual_host.names import Instance


@operation()
def processes(instance: Instance) -> Commands:
    """Hosts are powered off; what does not end in time is killed."""
    host = current()
    must_be_root()
    seen = look_back(host, instance)
    hold(instance)
    hosts = any(each.supervisors or each.nspawns for each in seen.hosts.values())
    if hosts or seen.groups or seen.workers or seen.spaces:
        yield script("reaper.py", instance.state, instance.full)
    else:
        host.noop("nothing runs")


@operation()
def network(instance: Instance) -> Commands:
    """Namespaces take their cables along. The bridge goes last: it is what other labs see of this one."""
    host = current()
    seen = look_back(host, instance)
    links = [name for name in seen.links if name.startswith(instance.interfaces) and name != instance.bridge]
    for name in links:  # before their namespaces, which take the rest along, but a moment later
        yield words("ip", "link", "delete", name)
    for node in seen.spaces:
        yield words("ip", "netns", "delete", instance.netns(node))
    if seen.table:
        yield words("nft", "delete", "table", "ip", instance.full)
    if seen.forwarding_mine:
        yield script("forwarding.py", "release", instance.full, instance.bridge)
    if instance.bridge in seen.links:
        yield words("ip", "link", "delete", instance.bridge)
    if seen.netns_mounted and seen.state:
        # ip made this mount for the first namespace on the machine. It goes with the last one.
        yield words("sh", "-c", 'test -n "$(ls -A /run/netns)" || { umount /run/netns && rmdir /run/netns; }')
    elif not (seen.spaces or links or seen.table or seen.forwarding_mine or instance.bridge in seen.links):
        host.noop("no bridge, no namespace")


@operation()
def files(instance: Instance) -> Commands:
    """The hosts' files and the base tree. The image, the login key and the API keys stay."""
    host = current()
    if look_back(host, instance).state:
        yield words("rm", "-rf", "--one-file-system", instance.state)
    else:
        host.noop("no files")
    if instance.lock.exists():
        instance.lock.unlink()
