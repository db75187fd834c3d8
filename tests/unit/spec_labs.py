"""Whole labs as they stand in a file, drawn at random: of 1 to 32 nodes, of every topology, and all of them valid."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from inventory.spec import Lab, load
from inventory.spec.boards import boards

Data = dict[str, Any]
Pair = tuple[str, str]

MANY_PORTS = max(boards().values(), key=lambda board: board.usb4_ports)
CABLED = {
    "single": 1,
    "pair": 2,
    "double": 2,
    "chain": 32,
    "ring": 32,
    "star": MANY_PORTS.usb4_ports + 1,
    "mesh": MANY_PORTS.usb4_ports + 1,
    "tree": 32,
}
"""Topologies of cables, and how many nodes each can have."""
FEWEST = {"pair": 2, "double": 2, "ring": 3}
TOPOLOGIES = (*CABLED, "fabric", "two fabrics", "mixed", "islands", "tangle")


@st.composite
def labs(draw: st.DrawFn, *, least: int = 1, topologies: Sequence[str] = TOPOLOGIES) -> Data:
    """least: how many nodes at least, where the topology can have so many."""
    topology = draw(st.sampled_from([name for name in topologies if CABLED.get(name, 32) >= least]))
    count = draw(st.integers(max(least, FEWEST.get(topology, 1)), CABLED.get(topology, 32)))
    random = draw(st.randoms(use_true_random=True))
    highest = random.choice((count, 40, 254))
    names = [f"halo{number}" for number in range(1, count + 1)]
    random.shuffle(names)
    data: Data = {
        "management": "10.43.0.0/24",
        "links_range": "10.44.0.0/20" if highest <= 40 else "172.16.0.0/15",
        "defaults": {"os": "fedora-43"},
        "groups": {"big": {"backend": "rocm", "memory": {"installed": "128GiB"}}},
        "nodes": _nodes(random, names, highest),
        "links": [],
        "models": {"mine": {"file": "/srv/my.gguf"}},
    }
    if random.random() < 0.5:
        data |= {"virtual": {}}
        data["defaults"] |= {"kernel": "none", "os": "debian-13"}
        for said in data["nodes"].values():
            said.pop("os", None)
    _wire(random, data, topology, names)
    name_ports(random, data)
    data["serves"] = _serves(random, data)
    return data


def made(folder: Path, data: Data) -> Lab:
    """The lab of the data, by way of a file."""
    path = folder / "lab.yml"
    path.write_text(json.dumps(data))  # which YAML is a superset of
    return load(path)


def kind(link: Data) -> str:
    """`usb4` or `ethernet`."""
    return "usb4" if "usb4" in link else "ethernet"


def ends(link: Data) -> list[str]:
    """The nodes of a link."""
    return list(link[kind(link)])


def islands(data: Data) -> dict[str, int]:
    """Node -> the number of its island."""
    island = {name: index for index, name in enumerate(data["nodes"])}
    for link in data["links"]:
        joined = {island[name] for name in ends(link)}
        island = {name: min(joined) if number in joined else number for name, number in island.items()}
    return island


def add_node(data: Data, name: str) -> None:
    """One more node, with an id and an address of its own."""
    number = next(n for n in range(1, 255) if all(n != node["id"] for node in data["nodes"].values()))
    taken = {node["address"] for node in data["nodes"].values()}
    address = next(a for a in (f"10.43.0.{host}" for host in range(2, 255)) if a not in taken)
    data["nodes"][name] = {"id": number, "address": address}


def name_ports(random: Random, data: Data) -> None:
    """Boards with enough USB4 ports, and the ports where they have to be named, or else now and then."""
    plugged = Counter(name for link in data["links"] if kind(link) == "usb4" for name in ends(link))
    virtual = "virtual" in data
    for number, link in enumerate(data["links"]):
        which = kind(link)
        due = {name: not virtual and (which == "ethernet" or plugged[name] > 1) for name in ends(link)}
        if any(due.values()) or random.random() < 0.3:
            link[which] = {name: _end(random, number, must, virtual) for name, must in due.items()}
    for name, count in plugged.items():
        if count > 2:
            data["nodes"][name]["board"] = MANY_PORTS.name


def _end(random: Random, number: int, must: bool, virtual: bool) -> Any:
    """One end in one of the ways in which it may be written; `number` keeps its port apart from the node's others."""
    ports = [f"enp{number}s0", f"port{number}"]
    if not virtual:
        ports += [f"pci-0000:{number:02x}:00.5", f"02:00:00:00:00:{number:02x}"]
    port = random.choice(ports)
    return random.choice([port, {"port": port}] if must else [port, {"port": port}, None, {}])


def _nodes(random: Random, names: Sequence[str], highest: int) -> dict[str, Data]:
    ids = random.sample(range(1, highest + 1), len(names))
    hosts = random.sample(range(2, 255), len(names))
    nodes: dict[str, Data] = {}
    for name, number, host in zip(names, ids, hosts, strict=True):
        nodes[name] = {"id": number, "address": f"10.43.0.{host}"}
        nodes[name] |= random.choice([{}, {}, {"group": "big"}, {"os": "ubuntu-26.04"}, {"memory": {"gpu": "96GiB"}}])
    return nodes


def _wire(random: Random, data: Data, topology: str, names: Sequence[str]) -> None:
    if topology == "islands":
        cut = random.randint(0, len(names))
        for part in filter(None, (names[:cut], names[cut:])):
            _wire(random, data, random.choice(["chain", "ring", "tree", "fabric", "tangle"]), part)
    elif topology in ("fabric", "two fabrics"):
        for _ in range(1 + (topology == "two fabrics")):
            _fabric(random, data, names)
    elif topology in ("mixed", "tangle"):
        _cables(data, _pairs(random, random.choice(["chain", "ring", "tree"]), names[: random.randint(1, len(names))]))
        for _ in range(random.randint(1, 3)):
            _fabric(random, data, random.sample(names, random.randint(1, len(names))))
        if topology == "tangle":
            _cables(data, [(one, random.choice([name for name in names if name != one])) for one in names[:-1]])
    elif topology == "double":
        _cables(data, [(names[0], names[1])] * 2)
    else:
        _cables(data, _pairs(random, topology, names))
    if topology in ("chain", "ring", "tangle") and random.random() < 0.3:  # a second cable beside every first
        _cables(data, [(one, other) for link in data["links"] if "usb4" in link for one, other in [ends(link)]])
    random.shuffle(data["links"])


def _pairs(random: Random, topology: str, names: Sequence[str]) -> list[Pair]:
    chain = list(pairwise(names))
    if topology == "star":
        return [(names[0], name) for name in names[1:]]
    if topology == "mesh":
        return list(combinations(names, 2))
    if topology == "tree":
        return [(names[random.randrange(max(0, index - 3), index)], names[index]) for index in range(1, len(names))]
    return chain + ([(names[-1], names[0])] if topology == "ring" and len(names) > 2 else [])


def _cables(data: Data, pairs: Iterable[Pair]) -> None:
    """Those of them for which there are ports and numbers."""
    plugged = Counter(name for link in data["links"] if "usb4" in link for name in ends(link))
    for pair in pairs:
        numbers = {link["number"] for link in data["links"] if "usb4" in link and {*ends(link)} == {*pair}}
        if len(numbers) < 2 and all(plugged[name] < MANY_PORTS.usb4_ports for name in pair):
            plugged.update(pair)
            data["links"].append({"usb4": list(pair), "number": 1 if 0 in numbers else 0})


def _fabric(random: Random, data: Data, names: Sequence[str]) -> None:
    if len(names) < 2:
        return
    number = sum("ethernet" in link for link in data["links"])
    subnet = random.choice([f"192.168.{number}.0/24", f"10.{60 + number}.0.0/16"])
    link = {"ethernet": list(names), "subnet": subnet, "name": f"fabric{number}", "mtu": random.choice([1500, 9000])}
    data["links"].append(link)


def _serves(random: Random, data: Data) -> dict[str, Data]:
    """Serves of nodes that reach each other; a worker has one controller."""
    island, free = islands(data), set(data["nodes"])
    serves: dict[str, Data] = {}
    for number in range(random.randint(1, 4)):
        controller = random.choice(sorted(data["nodes"]))
        near = sorted(name for name in free if island[name] == island[controller] and name != controller)
        workers = random.sample(near, random.randint(0, min(16, len(near))))
        free.difference_update(workers)
        ports = {"port": 8080 + number, "rpc_port": 50052 + number}
        serves[f"serve{number}"] = {"model": "mine", "controller": controller, "workers": workers, **ports}
    return serves
