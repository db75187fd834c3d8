"""Booted hosts for the lab tier. Where they cannot be had its tests are skipped, with the reason; in CI that fails."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.spec import load
from tests.lab.harness import ROOT, Lab, make_lab

SYSTEMS = {"halo1": "debian-13", "halo2": "fedora-43", "halo3": "ubuntu-26.04"}
SHARED = {"lab", "shapes"}
DEBIAN, FEDORA, UBUNTU = SYSTEMS
SERVE_OF_THE_FEDORA = """
  own: {{model: nonsense, controller: halo2, workers: [halo1], port: 50081, context: 512}}
firewall: {{api: [{here}/32]}}
"""


def impossible() -> str:
    """Why no virtual host can boot here; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "virtual hosts need root"
    return ""


@pytest.fixture(scope="session")
def may_boot() -> None:
    """Skips where no host can."""
    if reason := impossible():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the lab tier: {reason}")
        pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share hosts stay together."""
    for item in items:
        if isinstance(item, pytest.Function):
            for name in SHARED & {*item.fixturenames} - {*vars(item.module)}:
                item.add_marker(pytest.mark.part_group(name))


def booted(found: Lab) -> Iterator[Lab]:
    """Until the tests are over."""
    found.down().ok()  # what a killed test run may have left
    found.up().ok()
    yield found
    found.down().ok()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("lab")
    yield from booted(make_lab(folder, "test-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]))


def mixed(folder: Path) -> Lab:
    """The shipped lab, its nodes of three families. Addresses and links stay as they are. The Fedora serves as well as
    it lends, to this machine alone."""
    lab = make_lab(folder, "test-shapes-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    text = lab.yml.read_text()
    for name, system in SYSTEMS.items():
        text = re.sub(rf"({name}: {{.*)}}", rf"\1, os: {system}}}", text)
    here = load(lab.yml).spec.management.network_address + 1
    lab.yml.write_text(text + SERVE_OF_THE_FEDORA.format(here=here))
    assert {name: node.os for name, node in load(lab.yml).nodes.items()} == SYSTEMS
    return lab


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory, may_boot: None) -> Iterator[Lab]:  # noqa: ARG001
    """Hosts of three families, for all the files of tests that want them."""
    yield from booted(mixed(tmp_path_factory.mktemp("shapes")))
