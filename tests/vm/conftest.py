"""Machines for the vm tier. Where they cannot be had its tests are skipped, with the reason; in CI that fails."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.spec.home import home
from tests.lab.harness import ROOT, free_network
from tests.vm.harness import Machines, Network, impossible, install, missing_packages
from tests.vm.image import image
from tests.vm.passed import passed, when

_outcomes: dict[str, list[str]] = defaultdict(list)
"""Test file -> the outcome of each of its tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--changed", action="store_true", help="leave out vm tests that have passed with these very files")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--changed"):
        for item in items:
            if time := when(item.path.name):
                item.add_marker(pytest.mark.skip(reason=f"passed with these very files on {time}"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        _outcomes[Path(report.fspath).name].append(report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A file has passed where every one of its tests was run."""
    tests = Counter(item.path.name for item in session.items)
    if not any("::" in word for word in session.config.args) and not session.config.option.keyword:
        for name, count in tests.items():
            if _outcomes[name] == ["passed"] * count:
                passed(name)


@pytest.fixture(scope="session")
def machines(pytestconfig: pytest.Config) -> Iterator[Machines]:
    if reason := impossible():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the vm tier: {reason}")
        pytest.skip(reason)
    if missing := missing_packages():
        install(missing)
    ours = hashlib.sha256(f"{ROOT} {pytestconfig.getoption('--part')}".encode()).hexdigest()[:6]
    instance = f"vm-{ours}"
    network = Network(f"hv{ours}-", free_network(24, [], instance))
    found = Machines(instance, image(), network, home() / "tests" / instance)
    found.up()
    yield found
    found.down()
