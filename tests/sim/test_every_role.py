"""What holds for every role on every host: the second run is empty, a dry run is silent, interruptions heal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

CASES = [
    ("preflight", "halo1"),
    ("base", "halo1"),
    ("network", "halo2"),
    ("firewall", "halo1"),
    ("firewall", "halo2"),
    ("llama_cpp", "halo1"),  # the builder: the release is not in the cache
    ("llama_cpp", "halo2"),
    ("models", "halo1"),
    ("models", "halo2"),
    ("connections", "halo1"),
    ("rpc_server", "halo1"),  # no worker
    ("rpc_server", "halo2"),
    ("llama_server", "halo1"),
    ("llama_server", "halo2"),  # no controller
]
every_case = pytest.mark.parametrize(("role", "node"), CASES)
every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
Stages = Callable[..., Stage]


def _ready(stage: Stage, role: str) -> None:
    """What the control machine has when the role begins."""
    stage.forget()
    if (role, stage.node) != ("llama_cpp", "halo1"):
        stage.artifact()


@every_flavour
@every_case
def test_the_second_run_sends_nothing(stages: Stages, flavour: str, role: str, node: str) -> None:
    stage = stages(flavour, node)
    sim = stage.before(role)
    _ready(stage, role)
    assert stage.run(role, sim).ended
    before = sim.fingerprint() if role != "preflight" else None  # preflight takes the lab's lock
    second = stage.run(role, sim)
    assert second.flat == []
    assert (sim.fingerprint() if role != "preflight" else None) == before


@every_flavour
@every_case
def test_a_dry_run_changes_nothing_and_announces_what_a_run_changes(
    stages: Stages, flavour: str, role: str, node: str
) -> None:
    stage = stages(flavour, node)
    sim = stage.before(role)
    _ready(stage, role)
    before = sim.fingerprint()
    dry = stage.run(role, sim, dry=True, diff=True)
    assert dry.flat == []
    assert dry.changes == 0
    assert sim.fingerprint() == before
    real = stage.run(role, sim)
    assert set(dry.announced) == real.operations
    assert stage.run(role, sim, dry=True).announced == ()


@pytest.mark.parametrize("flavour", ["debian", "fedora"])  # Ubuntu differs in nothing that could break half-way
@every_case
def test_an_interrupted_run_is_healed_by_the_next(stages: Stages, flavour: str, role: str, node: str) -> None:
    stage = stages(flavour, node)
    whole = stage.before(role)
    _ready(stage, role)
    changes = stage.run(role, whole).changes
    for count in range(1, changes + 1):
        sim = stage.before(role)
        _ready(stage, role)
        stage.run(role, sim, dies_after=count)
        stage.run(role, sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert stage.run(role, sim).flat == []


@pytest.mark.parametrize("flavour", ["ubuntu", "fedora"])
@every_case
def test_whoever_does_not_log_in_as_root_needs_sudo_for_everything(
    stages: Stages, flavour: str, role: str, node: str
) -> None:
    stage = stages(flavour, node, "box")
    sim = stage.before(role)
    _ready(stage, role)
    run = stage.run(role, sim)
    assert run.ended
    assert [sent.raw for sent in run.sent if sent.raw and not sent.raw.startswith("sudo -H -n sh -c ")] == []
    assert stage.run(role, sim).flat == []
