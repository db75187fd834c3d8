"""What the last lines of a run say, and when they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api import State

from roles.lib.board import board
from roles.lib.end import ENDED, READY, _say


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "outcome"
    monkeypatch.setenv("HALOFLEET_OUTCOME", str(path))
    return path


def run(*, ended: bool, failed: bool = False) -> State:
    state = State()
    state.failed_hosts = {"halo2"} if failed else set()  # type: ignore[arg-type]
    board(state, READY)["chat"] = "http://10.43.0.11:8080/v1"
    if ended:
        board(state, ENDED)["halo1"] = True
    return state


def test_a_run_that_reached_its_end(outcome: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _say(run(ended=True))
    assert capsys.readouterr().out == "ready: http://10.43.0.11:8080/v1\n"
    assert outcome.exists()


@pytest.mark.parametrize(("ended", "failed"), [(False, False), (True, True)])
def test_a_run_that_was_interrupted_or_failed_says_nothing(
    ended: bool, failed: bool, outcome: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Although one serve had answered already: pyinfra itself ends with 0 on an interrupt."""
    _say(run(ended=ended, failed=failed))
    assert capsys.readouterr().out == ""
    assert not outcome.exists()
