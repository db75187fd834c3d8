"""gpu: its scripts killed between any two lines; the next run ends what was begun, or takes it all back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roles.gpu import operations
from roles.lib.jobs import job as real_job
from tests.sim.conftest import Stage
from tests.sim.cut import cut, listen
from tests.sim.host import SimHost
from tests.sim.test_gpu import ICD, box, ours, turn
from tests.thorough import some

Stages = Callable[..., Stage]


def scripts(stage: Stage, sim: SimHost, stack: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run that turns to the stack does on the node."""
    with monkeypatch.context() as patch:
        said = listen(patch, operations)
        turn(stage, sim, stack)
    return said


def killed(stage: Stage, sim: SimHost, stack: str, script: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run, but of this script."""
    with monkeypatch.context() as patch:
        patch.setattr(operations, "job", lambda name, said: real_job(name, text if said == script else said))
        assert not all(run.ended for run in turn(stage, sim, stack, dies=True))


def prepared(stages: Stages, name: str, first: str) -> tuple[Stage, SimHost, object]:
    """A box that has AMDVLK, with the stack that an earlier run has put there; and what it was before that."""
    stage, sim = box(stages, name, "cpu")
    sim.files.real(ICD).parent.mkdir(parents=True)
    sim.files.real(ICD).write_text("{}\n")
    turn(stage, sim, "cpu")
    bare = sim.state()
    turn(stage, sim, first)
    return stage, sim, bare


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("fedora-44", "cpu", "vulkan"),
        ("ubuntu", "cpu", "rocm"),
        ("fedora-44", "rocm", "vulkan"),
        ("ubuntu", "vulkan", "cpu"),
    ],
)
def test_killed_between_any_two_lines(
    stages: Stages, name: str, first: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, before, bare = prepared(stages, name, first)
    whole = before.clone(stage.folders())
    said = scripts(stage, whole, then, monkeypatch)
    assert said
    for script in said:
        for text in some(list(cut(script)), every=3):
            sim = before.clone(stage.folders())
            killed(stage, sim, then, script, text, monkeypatch)
            back = sim.clone(stage.folders())
            turn(stage, sim, then)
            assert sim.state() == whole.state(), text
            turn(stage, back, "cpu")  # or the inventory has changed its mind
            assert ours(back) == [], text
            assert back.state() == bare, text


@pytest.mark.parametrize("count", [1, 2])
def test_files_that_came_before_the_script_go_too(stages: Stages, count: int) -> None:
    stage, sim = box(stages, "ubuntu", "cpu")
    turn(stage, sim, "cpu")
    bare = sim.state()
    stage.change(defaults__backend="rocm")
    assert not stage.run("gpu", sim, dies_after=count).ended
    assert ours(sim) != []
    turn(stage, sim, "cpu")
    assert sim.state() == bare


def test_a_purge_that_was_killed_in_dpkg_goes_on(stages: Stages) -> None:
    stage, sim = box(stages, "ubuntu", "cpu")
    turn(stage, sim, "vulkan")
    sim.packages.half_way = True
    assert all(run.ended for run in turn(stage, sim, "cpu"))
    assert ours(sim) == []
