"""Machines for the vm tier. Where they cannot be had its tests are skipped, with the reason; in CI that fails."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from inventory.spec.home import home
from tests.lab.harness import ROOT
from tests.vm.harness import Machines, Network, impossible, install_tools
from tests.vm.image import image


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    if reason := impossible():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the vm tier: {reason}")
        pytest.skip(reason)
    install_tools()
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    instance = f"vm-{checkout}"
    found = Machines(instance, image(), Network(f"hv{checkout}-"), home() / "tests" / instance)
    found.up()
    yield found
    found.down()
