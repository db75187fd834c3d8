"""Cables and fabrics of the virtual lab: from any lab, killed anywhere, to any other lab, on a model of the kernel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from itertools import combinations, islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import load
from roles.virtual_host import plan, plan_links
from roles.virtual_host.facts import Link, Seen
from roles.virtual_host.wanted import MARK, End, Pair, Wanted, WantedHost, wanted
from tests.unit.test_virtual_host_plan import INSTANCE, TRIXIE, WANTED, bare

FOUR = tuple(WantedHost(f"halo{number}", number, f"10.9.0.{10 + number}", 22, TRIXIE) for number in range(1, 5))
NETNS = {name: INSTANCE.netns(name) for name in ("halo1", "halo2", "halo3", "halo4", "fabric.ethernet")}
MACHINE = ""
"""The machine's own namespace."""


@dataclass(eq=False)
class Interface:
    space: str
    name: str
    index: int
    peer: Interface | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def seen(self) -> Link:
        said, peer = self.settings, self.peer.index if self.peer else 0
        up, mtu = "up" in said, int(said.get("mtu", "1500"))
        return Link(self.name, self.index, peer, up, mtu, said.get("alias", ""), said.get("master", ""), ())


class Kernel:
    """Namespaces and interfaces as ip(8) makes them. It refuses what the kernel refuses; indexes repeat as there."""

    def __init__(self) -> None:
        self.spaces: dict[str, list[Interface]] = {MACHINE: [], "halo1": []}
        self.add(MACHINE, INSTANCE.bridge)
        self.add("halo1", "lo")
        self.add("halo1", "docker0")  # not ours

    def add(self, space: str, name: str) -> Interface:
        assert all(each.name != name for each in self.spaces[space]), f"{space} has {name} already"
        index = 1 + max((each.index for each in self.spaces[space]), default=0)
        self.spaces[space].append(Interface(space, name, index))
        return self.spaces[space][-1]

    def find(self, space: str, name: str) -> Interface:
        return next(each for each in self.spaces[space] if each.name == name)

    def delete(self, interface: Interface) -> None:
        self.spaces[interface.space].remove(interface)
        if interface.peer:
            self.spaces[interface.peer.space].remove(interface.peer)

    def run(self, command: plan_links.Command) -> None:
        words = list(command[1:])
        space = _space(words[1]) if words[0] == "-n" else MACHINE
        match words[2:] if words[0] == "-n" else words:
            case ["netns", "add", name]:
                assert _space(name) not in self.spaces
                self.spaces[_space(name)] = []
                self.add(_space(name), "lo")
            case ["netns", "delete", name]:
                for interface in list(self.spaces[_space(name)]):
                    self.delete(interface)
                del self.spaces[_space(name)]
            case ["link", "add", name, "type", "bridge"]:
                self.add(space, name)
            case ["link", "add", name, *where, "type", "veth", "peer", "name", other, "netns", there]:
                one = self.add(_space(where[1]) if where else space, name)
                one.peer = self.add(_space(there), other)
                one.peer.peer = one
            case ["link", "delete", name]:
                self.delete(self.find(space, name))
            case ["link", "set", name, *said, "up"]:
                settings = {"up": "", **dict(zip(said[::2], said[1::2], strict=True))}
                if "master" in settings:
                    self.find(space, settings["master"])
                self.find(space, name).settings |= settings
            case _:
                raise AssertionError(f"the model does not know {command}")

    def seen(self) -> Seen:
        found = {space: {each.name: each.seen() for each in all_} for space, all_ in self.spaces.items()}
        return replace(bare(), links=found.pop(MACHINE), spaces=found)


def _space(netns: str) -> str:
    return netns.removeprefix(f"{INSTANCE.full}.")


def steps(lab: Wanted, kernel: Kernel) -> Iterator[plan_links.Command]:
    """As `operations` goes on: every step looks anew."""
    look = kernel.seen()
    yield from plan.removals(lab, look, plan.leftovers(lab, look))
    yield from plan.namespaces(lab, kernel.seen())
    yield from plan_links.links(lab, kernel.seen())


def run(lab: Wanted, kernel: Kernel, killed_after: int | None = None) -> int:
    """How many commands it took."""
    count = 0
    for command in islice(steps(lab, kernel), killed_after):
        kernel.run(command)
        count += 1
        if count == killed_after and command[:3] == ("ip", "netns", "add"):
            kernel.spaces[_space(command[3])].clear()  # killed between its own two steps
    return count


def four(*pairs: Pair, switches: tuple[str, ...] = ()) -> Wanted:
    return replace(WANTED, hosts=FOUR, pairs=pairs, switches=switches)


@st.composite
def labs(draw: st.DrawFn) -> Wanted:
    """Any cables and fabrics between up to four nodes; interfaces' names mean something else in each lab."""
    hosts = FOUR[: draw(st.integers(1, 4))]
    joined = draw(st.lists(st.sampled_from(list(combinations(hosts, 2))), max_size=4)) if len(hosts) > 1 else []
    fabrics = draw(st.dictionaries(st.sampled_from(["fabric.a", "fabric.b"]), st.sets(st.sampled_from(hosts))))
    names = {host.node: draw(st.permutations([f"port{number}" for number in range(8)])) for host in hosts}
    mtu = st.sampled_from([1500, 9000, 65520])

    def end(host: WantedHost) -> End:
        return End(host.node, names[host.node].pop())

    pairs = [Pair((end(one), end(other)), draw(mtu)) for one, other in joined]
    for switch, members in fabrics.items():
        size = draw(mtu)
        pairs += [Pair((end(host), End(switch, f"port{host.id}")), size) for host in hosts if host in members]
    return replace(WANTED, hosts=hosts, pairs=tuple(pairs), switches=tuple(fabrics))


def check(lab: Wanted, kernel: Kernel) -> None:
    assert set(kernel.spaces) == {MACHINE, *(host.node for host in lab.hosts), *lab.switches}
    for pair in lab.pairs:
        one, other = (kernel.find(end.space, end.interface) for end in pair.ends)
        assert one.peer is other
        for each in (one, other):
            assert (each.seen().mtu, each.seen().up) == (pair.mtu, True)
            assert each.seen().master == ("switch" if each.space in lab.switches else "")
    ours = [each for found in kernel.spaces.values() for each in found if each.seen().alias.startswith(MARK)]
    assert len(ours) == 2 * len(lab.pairs)
    assert {each.name for each in kernel.spaces[MACHINE]} == {
        INSTANCE.bridge,
        *(INSTANCE.veth(h.id) for h in lab.hosts),
    }
    kernel.find("halo1", "docker0")


@given(labs(), labs(), st.integers(0, 60), st.integers(0, 60))
def test_any_lab_becomes_any_other_whenever_it_is_killed(one: Wanted, other: Wanted, first: int, second: int) -> None:
    kernel = Kernel()
    run(one, kernel, first)
    if "lo" not in {each.name for each in kernel.spaces.get("halo1", [])}:
        return  # docker0 went with a torn namespace
    run(other, kernel, second)
    run(one, kernel)
    check(one, kernel)
    run(other, kernel)
    check(other, kernel)
    assert run(other, kernel) == 0


@given(labs(), st.randoms())
def test_what_drifted_comes_back_without_pulling_a_cable(lab: Wanted, chance: random.Random) -> None:
    kernel = Kernel()
    run(lab, kernel)
    for pair in lab.pairs:
        end = chance.choice(pair.ends)
        kernel.find(end.space, end.interface).settings |= {"mtu": "1280"}
        end = chance.choice(pair.ends)
        kernel.find(end.space, end.interface).settings.pop("up")
        if pair.ends[1].space in lab.switches:
            kernel.find(pair.ends[1].space, pair.ends[1].interface).settings.pop("master")
    assert not any("delete" in command for command in plan_links.links(lab, kernel.seen()))
    run(lab, kernel)
    check(lab, kernel)


def test_a_cable() -> None:
    lab = four(Pair((End("halo1", "usb4-2"), End("halo2", "usb4-1")), 9000))
    alias = "halofleet link halo1:usb4-2 halo2:usb4-1"
    assert list(plan_links.links(lab, bare())) == [
        (
            *("ip", "link", "add", "usb4-2", "netns", NETNS["halo1"], "type", "veth"),
            *("peer", "name", "usb4-1", "netns", NETNS["halo2"]),
        ),
        ("ip", "-n", NETNS["halo1"], "link", "set", "usb4-2", "mtu", "9000", "alias", alias, "up"),
        ("ip", "-n", NETNS["halo2"], "link", "set", "usb4-1", "mtu", "9000", "alias", alias, "up"),
    ]


def test_a_fabric() -> None:
    pair = Pair((End("halo1", "enp1s0"), End("fabric.ethernet", "port1")), 9000)
    netns, port = NETNS["fabric.ethernet"], ("mtu", "9000", "master", "switch", "alias", pair.alias, "up")
    assert list(plan_links.links(four(pair, switches=("fabric.ethernet",)), bare())) == [
        ("ip", "-n", netns, "link", "add", "switch", "type", "bridge"),
        ("ip", "-n", netns, "link", "set", "switch", "up"),
        (
            *("ip", "link", "add", "enp1s0", "netns", NETNS["halo1"], "type", "veth"),
            *("peer", "name", "port1", "netns", netns),
        ),
        ("ip", "-n", NETNS["halo1"], "link", "set", "enp1s0", "mtu", "9000", "alias", pair.alias, "up"),
        ("ip", "-n", netns, "link", "set", "port1", *port),
    ]


def test_a_fabric_that_is_gone_takes_its_pairs_along() -> None:
    pair, kernel = Pair((End("halo1", "enp1s0"), End("fabric.ethernet", "port1")), 1500), Kernel()
    run(four(pair, switches=("fabric.ethernet",)), kernel)
    assert list(plan.removals(four(), kernel.seen(), plan.leftovers(four(), kernel.seen()))) == [
        ("ip", "-n", NETNS["fabric.ethernet"], "link", "delete", "port1"),
        ("ip", "netns", "delete", NETNS["fabric.ethernet"]),
    ]


def test_lab_yml_becomes_pairs_and_switches(tmp_path: Path) -> None:
    path = tmp_path / "lab4.yml"
    path.write_text(
        "management: 10.9.0.0/24\n"
        "virtual: {}\n"
        "defaults: {os: debian-13, kernel: none, ssh: {port: 2222}}\n"
        "nodes: {halo1: {id: 1, address: 10.9.0.11}, halo2: {id: 2, address: 10.9.0.12, ssh: {port: 22}}}\n"
        "links:\n"
        "  - {ethernet: {halo1: enp1s0, halo2: }, subnet: 10.7.0.0/24, name: storage, mtu: 9000}\n"
        "  - {usb4: [halo2, halo1], number: 1, mtu: 65520}\n"
        "models: {nonsense: {random: llama-spm}}\n"
        "serves: {chat: {model: nonsense, controller: halo1, workers: [halo2]}}\n"
    )
    found = wanted(load(path), INSTANCE)
    assert found.hosts == (
        WantedHost("halo1", 1, "10.9.0.11", 2222, TRIXIE),
        WantedHost("halo2", 2, "10.9.0.12", 22, TRIXIE),
    )
    assert found.switches == ("fabric.storage",)
    assert found.pairs == (
        Pair((End("halo1", "usb4-2-1"), End("halo2", "usb4-1-1")), 65520),
        Pair((End("halo1", "enp1s0"), End("fabric.storage", "port1")), 9000),
        Pair((End("halo2", "storage"), End("fabric.storage", "port2")), 9000),
    )
    assert ("links[0].subnet", IPv4Network("10.7.0.0/24")) in found.ranges
    assert [key for key, _ in found.ranges] == ["management", "links_range", "links[0].subnet"]
