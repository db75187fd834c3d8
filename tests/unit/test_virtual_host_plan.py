"""The plan of the virtual lab: from nothing to everything, from everything to nothing to do, and what lies between."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from inventory.spec.language.nodes import Virtual
from roles.virtual_host import plan, plan_links, refusals, seed
from roles.virtual_host.facts import Disk, Host, Link, Route, Seen
from roles.virtual_host.images import image
from roles.virtual_host.names import Instance
from roles.virtual_host.wanted import End, Pair, Wanted, WantedHost

INSTANCE = Instance("demo", Path("/home/x/.local/share/halofleet"), Path("/src/demo"))
TRIXIE = image("debian-13", Virtual())
ONE = WantedHost("halo1", 1, "10.9.0.11", 22, TRIXIE)
TWO = WantedHost("halo2", 2, "10.9.0.12", 2222, TRIXIE)
CABLE = Pair((End("halo1", "usb4-2"), End("halo2", "usb4-1")), 1500)
WANTED = Wanted(
    lab="lab",
    instance=INSTANCE,
    management=IPv4Network("10.9.0.0/24"),
    ranges=(("management", IPv4Network("10.9.0.0/24")), ("links_range", IPv4Network("10.8.0.0/16"))),
    hosts=(ONE, TWO),
    switches=(),
    pairs=(CABLE,),
)
NETNS = {node: INSTANCE.netns(node) for node in ("halo1", "halo2", "halo3")}
KEY = seed.KeyPair("PRIVATE\n", "ssh-ed25519 AAAA")
SEEDS = {
    host.node: seed.digests(seed.files(WANTED, host, login="ssh-ed25519 L", key=KEY, resolver=""))
    for host in (ONE, TWO)
}
RUNS = {host.node: seed.run_json(WANTED, host, systemd=False) for host in (ONE, TWO)}


def link(name: str, index: int, peer: int = 0, alias: str = "", master: str = "", *addresses: str) -> Link:
    return Link(name, index, peer, True, 1500, alias, master, addresses)


def bare() -> Seen:
    """A machine that has seen no lab."""
    disk = Disk("/", 1, 100 * 2**30)
    eth0 = link("eth0", 2, 0, "", "", "192.0.2.2/24")
    return Seen(
        package_tool="apt-get",
        missing=(),
        systemd=False,
        state=False,
        images=(),
        bases=(),
        lab="",
        state_disk=disk,
        image_disk=disk,
        netns_mounted=False,
        resolver="nameserver 192.0.2.53\n",
        links={"eth0": eth0},
        routes=(Route("192.0.2.0/24", "eth0"),),
        table="",
        dropping=(),
        forwarding=False,
        forwarding_mine=False,
        spaces={},
        hosts={},
        groups=(),
        greets=(),
        workers=(),
    )


def built() -> Seen:
    """The machine with the whole lab on it."""
    outer = {
        INSTANCE.veth(host.id): link(
            INSTANCE.veth(host.id), 10 + host.id, 5, f"halofleet {host.node} of demo", INSTANCE.bridge
        )
        for host in (ONE, TWO)
    }
    spaces = {
        host.node: {
            "lo": link("lo", 1),
            "host0": link("host0", 5, 10 + host.id, f"halofleet {host.node} of demo"),
            end.interface: link(end.interface, 6, 6, CABLE.alias),
        }
        for host, end in zip((ONE, TWO), CABLE.ends, strict=True)
    }
    own = link(INSTANCE.bridge, 9, 0, INSTANCE.alias, "", "10.9.0.1/24")
    nft = next(command for command in plan.nat(WANTED, bare()))[1]
    hosts = {
        node: Host((100,), (200,), True, RUNS[node], dict(SEEDS[node]), True, "running") for node in ("halo1", "halo2")
    }
    return replace(
        bare(),
        state=True,
        images=(TRIXIE.name,),
        bases=(TRIXIE.name,),
        lab="lab",
        links={**bare().links, INSTANCE.bridge: own, **outer},
        routes=(*bare().routes, Route("10.9.0.0/24", INSTANCE.bridge)),
        table=nft,
        forwarding=True,
        forwarding_mine=True,
        spaces=spaces,
        hosts=hosts,
        greets=("10.9.0.11:22", "10.9.0.12:2222"),
    )


def network(seen: Seen) -> list[plan_links.Command]:
    planners = (plan.bridge, plan.nat, plan.namespaces, plan_links.links)
    return [command for planner in planners for command in planner(WANTED, seen)]


def test_from_nothing() -> None:
    assert list(plan.bridge(WANTED, bare())) == [
        ("ip", "link", "add", INSTANCE.bridge, "type", "bridge"),
        ("ip", "link", "set", INSTANCE.bridge, "alias", "halofleet demo of /src/demo"),
        ("ip", "address", "add", "10.9.0.1/24", "dev", INSTANCE.bridge),
        ("ip", "link", "set", INSTANCE.bridge, "up"),
    ]
    veth = INSTANCE.veth(1)
    assert list(plan.namespaces(WANTED, bare()))[:4] == [
        ("ip", "netns", "add", NETNS["halo1"]),
        ("ip", "-n", NETNS["halo1"], "link", "set", "lo", "up"),
        ("ip", "link", "add", veth, "type", "veth", "peer", "name", "host0", "netns", NETNS["halo1"]),
        ("ip", "-n", NETNS["halo1"], "link", "set", "host0", "alias", "halofleet halo1 of demo", "up"),
    ]


def test_nothing_to_do() -> None:
    assert network(built()) == []
    assert plan.to_stop(WANTED, built(), RUNS, SEEDS) == []
    assert plan.leftovers(WANTED, built()) == []
    assert plan.ready(WANTED, built())
    assert refusals.refusals(WANTED, built()) == []


def test_names_fit_the_kernel_and_two_homes_never_meet() -> None:
    longest = Instance("a" * 41, Path("/h"), Path("/c"))
    assert max(len(longest.veth(254)), len(longest.bridge)) <= 15
    assert len(longest.machine("n" * 31)) <= 64
    assert len(longest.netns("n" * 31)) <= 255
    other = replace(INSTANCE, home=Path("/elsewhere"))
    assert {other.bridge, other.full, other.veth(1)}.isdisjoint({INSTANCE.bridge, INSTANCE.full, INSTANCE.veth(1)})


def test_half_made_bridge_is_completed() -> None:
    half = link(INSTANCE.bridge, 9, 0, "", "", "10.7.0.1/24")
    seen = replace(built(), links={**built().links, INSTANCE.bridge: half})
    assert list(plan.bridge(WANTED, seen)) == [
        ("ip", "link", "set", INSTANCE.bridge, "alias", "halofleet demo of /src/demo"),
        ("ip", "address", "delete", "10.7.0.1/24", "dev", INSTANCE.bridge),
        ("ip", "address", "add", "10.9.0.1/24", "dev", INSTANCE.bridge),
    ]


def test_torn_namespace_is_made_again() -> None:
    seen = replace(built(), spaces={**built().spaces, "halo1": {}})
    assert list(plan.namespaces(WANTED, seen))[:4] == [
        ("ip", "netns", "delete", NETNS["halo1"]),
        ("ip", "netns", "add", NETNS["halo1"]),
        ("ip", "-n", NETNS["halo1"], "link", "set", "lo", "up"),
        ("ip", "link", "delete", INSTANCE.veth(1)),
    ]


def test_which_hosts_are_stopped() -> None:
    def stopped(**changes: object) -> list[str]:
        host = replace(built().hosts["halo1"], **changes)  # type: ignore[arg-type]
        return plan.to_stop(WANTED, replace(built(), hosts={**built().hosts, "halo1": host}), RUNS, SEEDS)

    assert stopped(nspawns=()) == []  # between two boots
    assert stopped(supervisors=(), nspawns=()) == []  # powered off: nothing to stop
    assert stopped(supervisors=()) == ["halo1"]
    assert stopped(nspawns=(200, 201)) == ["halo1"]
    assert stopped(in_namespace=False) == ["halo1"]
    assert stopped(run="{}") == ["halo1"]
    changed = {**SEEDS["halo1"], "/etc/resolv.conf": ("644", "other")}
    assert stopped(seed=changed) == []
    changed = {**SEEDS["halo1"], "/etc/hostname": ("644", "other")}
    assert stopped(seed=changed) == ["halo1"]


def test_host_that_the_lab_has_no_more_goes() -> None:
    seen = replace(
        built(),
        hosts={**built().hosts, "halo3": Host((300,), (400,), True)},
        spaces={**built().spaces, "halo3": {"lo": link("lo", 1)}},
        links={**built().links, INSTANCE.veth(3): link(INSTANCE.veth(3), 30, 5, "halofleet halo3 of demo")},
    )
    assert plan.to_stop(WANTED, seen, RUNS, SEEDS) == ["halo3"]
    assert plan.leftovers(WANTED, seen) == ["halo3"]
    assert list(plan.removals(WANTED, seen, ["halo3"])) == [
        ("ip", "link", "delete", INSTANCE.veth(3)),
        ("ip", "netns", "delete", NETNS["halo3"]),
    ]
    assert network(seen) == []


def test_known_hosts_replaces_only_these_endpoints() -> None:
    keys = {"10.9.0.11:22": "ssh-ed25519 A", "10.9.0.12:2222": "ssh-ed25519 B"}
    right = "x ssh-rsa Z\n10.9.0.11 ssh-ed25519 A\n[10.9.0.12]:2222 ssh-ed25519 B\n"
    assert seed.pinned(right, keys) == right
    stale = "10.9.0.11 ssh-ed25519 old\nx ssh-rsa Z\n10.9.0.11 ssh-rsa older\n"
    assert seed.pinned(stale, keys) == right
    assert seed.pinned(right + "10.9.0.11 ssh-ed25519 A\n", keys) == right


def test_key_files_are_for_root_only() -> None:
    files = seed.files(WANTED, ONE, login="ssh-ed25519 L", key=KEY, resolver="")
    assert files[seed.HOST_KEY].mode == 0o600
    assert "Address=10.9.0.11/24" in files["/etc/systemd/network/10-halofleet-management.network"].content
    assert "Gateway=10.9.0.1" in files["/etc/systemd/network/10-halofleet-management.network"].content
