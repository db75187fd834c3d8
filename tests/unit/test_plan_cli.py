"""The verb itself, as people call it: pyinfra @local deploys/plan.py. It needs no host and no terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYINFRA = str(Path(sys.executable).with_name("pyinfra"))
RING = "tests/unit/plan_corpus/ring-3.yml"
CHAIN = "tests/unit/plan_corpus/chain.yml"


def plan(lab: str, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [PYINFRA, *options, "@local", "deploys/plan.py", "--data", f"lab={lab}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert list(home.iterdir()) == []
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("options", [(), ("-y",), ("--dry",)])
def test_the_plan_and_nothing_else_on_standard_output(options: tuple[str, ...], tmp_path: Path) -> None:
    done = plan(RING, *options, home=tmp_path)
    assert done.returncode == 0
    assert done.stdout == (ROOT / RING).with_suffix(".txt").read_text()
    assert "warning" not in done.stderr


def test_warnings_stand_at_the_end_of_standard_error(tmp_path: Path) -> None:
    done = plan(CHAIN, home=tmp_path)
    assert done.returncode == 0
    assert done.stdout == (ROOT / CHAIN).with_suffix(".txt").read_text()
    assert f"{CHAIN}:15: warning: serves.chat.workers[1]: halo3 is reached through halo2" in done.stderr


@pytest.mark.parametrize("options", [(), ("-y",)])
def test_json_keeps_standard_output_to_itself(options: tuple[str, ...], tmp_path: Path) -> None:
    done = plan(RING, "--json", *options, home=tmp_path)
    assert done.returncode == 0
    assert isinstance(json.loads(done.stdout), dict)
    assert (ROOT / RING).with_suffix(".txt").read_text() in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_broken_file_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    broken = tmp_path / "broken.yml"
    broken.write_text((ROOT / RING).read_text().replace("id: 2", "id: 1").replace("workers", "wokers"))
    done = plan(str(broken), *options, home=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f'refused: {broken}:16: serves.chat.wokers: unknown key "wokers"; did you mean "workers"?\n' in done.stderr
    assert "1 is the id of halo1 already" in done.stderr


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    done = plan("no/such.yml", home=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "refused: no/such.yml: there is no such file\n" in done.stderr


def test_a_reader_that_goes_away_is_no_mistake(tmp_path: Path) -> None:
    command = f"{PYINFRA} @local deploys/plan.py --data lab={RING} </dev/null | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["/bin/bash", "-c", command], cwd=ROOT, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "rror" not in done.stderr
    assert "xception" not in done.stderr
