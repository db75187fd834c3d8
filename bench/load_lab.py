"""How long it takes to load and to plan labs of 25 to 200 nodes, and how that grows. Needs no host.

    .venv/bin/python bench/load_lab.py [RUNS]

The labs are generated. Every node has the same board and is used: a serve has a controller and up to 16 workers.
- `switch`: rings and chains of up to 17 nodes over USB4, a serve on each, and one Ethernet fabric over all nodes
- `cables`: the same without the fabric, so that most workers are reached through other nodes
- `far`: as bad as it gets: one ring of all nodes, and every serve's workers from all over it. The number of routes, and
  so the work, grows with the square of the nodes here

Prints the fastest of the runs (a slower one was disturbed); figures belong into bench/README.md.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import yaml

from inventory.spec import Lab, load

SIZES = (25, 50, 100, 200)
KINDS = ("switch", "cables", "far")
SERVED = 17
"""A controller and the 16 workers that llama.cpp allows."""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    load(Path(__file__).parents[1] / "inventory/lab.yml")  # from here on pydantic and boards.yml are warm
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            print(f"{kind}: nodes, lines; load, plan, sum in ms; sum / (n log n) in us")
            sums = [_report(Path(folder), kind, nodes, runs) for nodes in SIZES]
            wanted = _exponent(_n_log_n(SIZES[0]), _n_log_n(SIZES[-1]))
            print(f"  grows as n^{_exponent(sums[0], sums[-1]):.2f}; n log n would be n^{wanted:.2f}")


def _report(folder: Path, kind: str, nodes: int, runs: int) -> float:
    path = folder / f"{kind}{nodes}.yml"
    path.write_text(yaml.safe_dump(generate(kind, nodes), default_flow_style=None, sort_keys=False))
    times = [_once(path) for _ in range(runs)]
    loading = min(each for each, _ in times)
    planning = min(each for _, each in times)
    both, lines = loading + planning, path.read_text().count("\n")
    figures = f"{loading * 1e3:6.1f} {planning * 1e3:6.1f} {both * 1e3:6.1f}"
    print(f"  {nodes:4} {lines:5} {figures} {both / _n_log_n(nodes) * 1e6:6.1f}")
    return both


def _once(path: Path) -> tuple[float, float]:
    """Seconds to load the file, seconds to plan everything."""
    start = time.perf_counter()
    lab = load(path)
    loaded = time.perf_counter()
    plan(lab)
    return loaded - start, time.perf_counter() - loaded


def plan(lab: Lab) -> None:
    """Whatever a run asks of a lab: every serve's ways, every node's network and names."""
    for name, serve in lab.spec.serves.items():
        assert len(lab.ways(name)) == len(serve.workers)
    for node in lab.nodes:
        assert lab.network(node).ends
        assert lab.names(node)


def generate(kind: str, nodes: int) -> dict[str, object]:
    """lab.yml as data."""
    names = [f"halo{number}" for number in range(1, nodes + 1)]
    serves = math.ceil(nodes / SERVED)
    served = [names[number::serves] if kind == "far" else names[number * SERVED :][:SERVED] for number in range(serves)]
    cabled = [names] if kind == "far" else served
    links = [cable for number, each in enumerate(cabled) for cable in _cables(each, ring=number % 2 == 0)]
    if kind == "switch":
        links.append({"ethernet": dict.fromkeys(names, "enp97s0"), "subnet": "10.80.0.0/24"})
    return {
        "management": "10.32.0.0/24",
        "links_range": "10.64.0.0/14",
        "defaults": {"os": "fedora-43", "backend": "vulkan", "memory": {"reserve": "16GiB"}},
        "groups": {"boards": {"board": "framework-desktop", "memory": {"installed": "128GiB"}}},
        "nodes": {
            name: {"id": number, "address": f"10.32.0.{number}", "group": "boards"}
            for number, name in enumerate(names, start=1)
        },
        "links": links,
        "models": {"mine": {"directory": "/models/mine", "on": "node"}},
        "serves": {
            f"chat{number}": {"model": "mine", "controller": each[0], "workers": each[1:]}
            for number, each in enumerate(served)
        },
    }


def _cables(nodes: list[str], *, ring: bool) -> list[dict[str, object]]:
    pairs = [*pairwise(nodes), *([(nodes[-1], nodes[0])] if ring else [])]
    return [{"usb4": {one: "pci-0000:c8:00.6", other: "pci-0000:c8:00.5"}} for one, other in pairs]


def _n_log_n(nodes: int) -> float:
    return nodes * math.log(nodes)


def _exponent(first: float, last: float) -> float:
    return math.log(last / first, SIZES[-1] / SIZES[0])


if __name__ == "__main__":
    main()
