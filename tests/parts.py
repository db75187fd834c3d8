"""`--part 1/2`: half of the tests, so that two processes on two cores can share a tier.

Not pytest-xdist: its workers do not survive the monkey patches that pyinfra needs (gevent.exceptions.LoopExit).
"""

from __future__ import annotations

from collections import Counter

import pytest

GROUP = "part_group"
"""A marker with a name: tests of the same name stay in one process. Without it they do so by file."""

WEIGHT = "WEIGHT"
"""Of a module: as how many others one of its tests counts. In the lab tier one is ten seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", metavar="K/N", help="the K-th of N shares of the tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{GROUP}(name): stays in one process with all others of that name")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, shares = map(int, str(config.getoption("--part")).split("/"))
    sizes: Counter[str] = Counter()
    for item in items:
        sizes[_group(item)] += getattr(getattr(item, "module", None), WEIGHT, 1)
    loads = [0.0] * shares
    ours: set[str] = set()
    for group, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0])):
        least = loads.index(min(loads))
        loads[least] += size
        if least == share - 1:
            ours.add(group)
    config.hook.pytest_deselected(items=[item for item in items if _group(item) not in ours])
    items[:] = [item for item in items if _group(item) in ours]


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker(GROUP)
    return str(marker.args[0]) if marker else item.path.name
