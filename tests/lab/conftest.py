"""Booted hosts for the lab tier. Where they cannot be had its tests are skipped, with the reason; in CI that fails."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from tests.lab.harness import ROOT, Lab, make_lab


def impossible() -> str:
    """Why no virtual host can boot here; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "virtual hosts need root"
    return ""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := impossible():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the lab tier: {reason}")
        pytest.skip(reason)
    found = make_lab(tmp_path_factory.mktemp("lab"), "test-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6])
    found.down().ok()  # what a killed test run may have left
    found.up().ok()
    yield found
    found.down().ok()
