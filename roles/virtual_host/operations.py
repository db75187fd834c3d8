"""The steps from a bare machine to hosts that answer. Each looks, plans, and yields only what is missing."""

from __future__ import annotations

from functools import partial

from pyinfra import logger, state
from pyinfra.api import StringCommand, operation
from pyinfra.operations import apt, dnf

from inventory.spec.home import cache, known_hosts, virtual_key
from roles.lib.remote import Commands, current
from roles.lib.stop import Refused
from roles.virtual_host import plan, plan_links, refusals, seed, store
from roles.virtual_host.commands import act, hold, look, must_be_root, script, words, work
from roles.virtual_host.wanted import Wanted

COMMON = ["systemd-container", "mmdebstrap", "nftables", "util-linux"]
TOOLS = {
    "apt-get": [*COMMON, "iproute2", "procps", "debian-archive-keyring"],
    "dnf": [*COMMON, "iproute", "procps-ng", "debian-keyring"],
}


@operation()
def allowed(lab: Wanted) -> Commands:
    """Refuses what cannot work here, all reasons at once, before anything is changed."""
    host = current()
    must_be_root()
    seen = look(host, lab)
    if reasons := refusals.refusals(lab, seen):
        raise Refused("\n".join(reasons))
    hold(lab.instance)
    for warning in refusals.warnings(lab, seen):
        logger.warning(f"{host.print_prefix}{warning}")
    host.noop("nothing speaks against it")
    yield from ()


@operation()
def tools(lab: Wanted) -> Commands:
    """systemd-nspawn and the few others; the package lists are read only when something is missing."""
    host = current()
    seen = look(host, lab)
    missing = refusals.lacking(lab, seen)
    if not missing:
        host.noop("every tool is there")
        return
    if seen.package_tool == "apt-get":
        yield from apt.update._inner()
        own = ["dnf"] if "dnf" in missing else []
        yield from apt.packages._inner(packages=[*TOOLS["apt-get"], *own], no_recommends=True)
    else:
        yield from dnf.packages._inner(packages=TOOLS["dnf"])


@operation()
def tools_present(lab: Wanted) -> Commands:
    """The installation may have failed: say what that means here."""
    host = current()
    if state.is_executing and (missing := refusals.lacking(lab, look(host, lab))):
        raise Refused(f"{', '.join(missing)}: not on this machine, and cannot be installed (see above)")
    host.noop("every tool is there")
    yield from ()


@operation()
def images(lab: Wanted) -> Commands:
    """The base systems as tarballs in the cache."""
    host = current()
    there = look(host, lab).images
    missing = [image for image in lab.images if image.name not in there]
    for image in missing:
        logger.info(f"{host.print_prefix}building the base system: {image.says} (half a minute, or a few)")
        tarball = cache("images") / f"{image.name}.tar"
        yield work(lab.instance, "build_image.sh", tarball, image.says, image.method, *image.arguments)
    if not missing:
        host.noop("every image is in the cache")


@operation()
def bases(lab: Wanted) -> Commands:
    """The tarballs, each unpacked once for all hosts that are made of it."""
    host = current()
    there = look(host, lab).bases
    missing = [image for image in lab.images if image.name not in there]
    for image in missing:
        tarball = cache("images") / f"{image.name}.tar"
        yield work(lab.instance, "unpack_base.sh", tarball, lab.instance.state, image.name, lab.lab)
    if not missing:
        host.noop("every base tree is unpacked")


@operation()
def keys(lab: Wanted) -> Commands:
    """The lab's login key, each host's own key, and the hosts' keys in the lab's known_hosts."""
    host = current()
    login, missing = virtual_key(lab.lab), store.hosts_without_key(lab)
    login_there = store.read_key(login) is not None
    if not login_there:
        yield act(partial(store.make_key, login))
    for each in missing:
        yield act(partial(store.make_key, store.host_key(lab, each)))
    if missing or not store.is_pinned(lab, known_hosts(lab.lab)):
        yield act(partial(store.pin, lab, known_hosts(lab.lab)))
    elif login_there:
        host.noop("keys are in place")


@operation()
def stale_hosts(lab: Wanted) -> Commands:
    """Hosts and fabrics that the lab has no more go; hosts that run as something else than they should are stopped."""
    host = current()
    seen = look(host, lab)
    runs, seeds = store.runs(lab, seen), {node: seed.digests(files) for node, files in store.seeds(lab, seen).items()}
    stop, gone = plan.to_stop(lab, seen, runs, seeds), plan.leftovers(lab, seen)
    if not stop and not gone:
        host.noop("no host is in the way")
        return
    yield script("reaper.py", lab.instance.state, lab.instance.full, *sorted({*stop, *gone}))
    for command in plan.removals(lab, seen, gone):
        yield words(*command)
    for node in gone:
        yield words("rm", "-rf", "--one-file-system", lab.instance.host_dir(node))


@operation()
def bridge(lab: Wanted) -> Commands:
    """The bridge with the first address of the range, and NAT from there."""
    host = current()
    seen = look(host, lab)
    commands = [*plan.bridge(lab, seen), *plan.nat(lab, seen)]
    for command in commands:
        yield words(*command)
    if not (seen.forwarding and seen.forwarding_mine):
        yield script("forwarding.py", "need", lab.instance.full, lab.instance.bridge)
    elif not commands:
        host.noop(f"{lab.instance.bridge} is up")


@operation()
def namespaces(lab: Wanted) -> Commands:
    """A named network namespace for each host, which outlives the host's reboots, and for each fabric."""
    yield from _network(lab, plan.namespaces, "every host and fabric has its namespace")


@operation()
def links(lab: Wanted) -> Commands:
    """Cables and fabrics, as lab.yml says."""
    yield from _network(lab, plan_links.links, "every cable is plugged in")


def _network(lab: Wanted, planned: plan_links.Planned, otherwise: str) -> Commands:
    host = current()
    commands = list(planned(lab, look(host, lab)))
    for command in commands:
        yield words(*command)
    if not commands:
        host.noop(otherwise)


@operation()
def hosts(lab: Wanted) -> Commands:
    """Every host's files are current and its supervisor runs."""
    host = current()
    seen = look(host, lab)
    runs, changed = store.runs(lab, seen), False
    for each, files in zip(lab.hosts, store.seeds(lab, seen).values(), strict=True):
        found = seen.hosts.get(each.node)
        stale = found is None or dict(found.seed) != seed.digests(files) or found.run != runs[each.node]
        if stale:
            yield act(partial(store.write_host, lab, each.node, files, runs[each.node]))
        if found is None or not found.supervisors:
            yield start(lab, each.node, systemd=seen.systemd)
        elif stale:
            yield words("kill", "-HUP", str(found.supervisors[0]))
        changed = changed or stale or found is None or not found.supervisors
    if not changed:
        host.noop(f"{len(lab.hosts)} hosts run")


def start(lab: Wanted, node: str, *, systemd: bool) -> StringCommand:
    """The supervisor, in a mount namespace of its own, and a child of nobody that may end before it."""
    log = lab.instance.log(node)
    supervisor = words("unshare", "--mount", "--propagation", "slave")
    own = script("supervisor.py", lab.instance.host_dir(node))
    if systemd:
        unit = words(
            *("systemd-run", "--quiet", "--collect", f"--unit={lab.instance.unit(node)}"),
            *("--property=Delegate=yes", "--property=KillMode=mixed", "--property=TimeoutStopSec=20"),
            *(f"--property=StandardOutput=append:{log}", f"--property=StandardError=append:{log}"),
        )
        return StringCommand(unit, supervisor, own)
    return StringCommand("setsid --fork", supervisor, own, "</dev/null", ">>", words(log), "2>&1")


@operation()
def answering(lab: Wanted) -> Commands:
    """Waits until every host's systemd is up and its SSH server answers."""
    host = current()
    if plan.ready(lab, look(host, lab, greet=True)):
        host.noop("every host answers")
        return
    nodes = [f"{each.node}={each.endpoint}" for each in lab.hosts]
    yield work(lab.instance, "wait.py", lab.instance.state, lab.instance.full, *nodes)
