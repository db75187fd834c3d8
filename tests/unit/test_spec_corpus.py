"""Every broken file of the corpus with its whole report, and every unwise one with its warnings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inventory.spec import LabError, load
from inventory.spec.advice import CHECKS

HERE = Path(__file__).parent
INVENTORY = HERE.parents[1] / "inventory"
BROKEN, UNWISE = HERE / "spec_corpus", HERE / "spec_warnings"
EXAMPLES = sorted(INVENTORY.glob("examples/*.yml"))

SECRET = re.compile("NotReal|sesame|1234")
"""What every secret of the corpus holds."""

INEVITABLE = "every token crosses"
"""The one warning that an example may have: of a chain, which is what it shows."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.yml"))


def refused(path: Path) -> str:
    with pytest.raises(LabError) as caught:
        load(path)
    assert caught.value.errors
    return str(caught.value)


@pytest.mark.parametrize("name", names(BROKEN))
def test_broken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    expected = Path(name).with_suffix(".txt").read_text()
    assert refused(Path(name)) + "\n" == expected
    assert refused(BROKEN / name) + "\n" == expected  # below the working directory it is shown relative


@pytest.mark.parametrize("name", [name for name in names(BROKEN) if name.startswith("secret-")])
def test_no_message_repeats_a_secret(name: str) -> None:
    assert SECRET.search((BROKEN / name).read_text())
    assert not SECRET.search(refused(BROKEN / name))


@pytest.mark.parametrize("name", names(UNWISE))
def test_unwise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(UNWISE)
    told = "".join(f"{warning}\n" for warning in load(Path(name)).warnings)
    assert told == Path(name).with_suffix(".txt").read_text()


def test_the_corpora_are_whole() -> None:
    assert len(names(BROKEN)) >= 180
    for folder in (BROKEN, UNWISE):
        assert {Path(name).stem for name in names(folder)} == {path.stem for path in folder.glob("*.txt")}


def test_every_check_has_an_unwise_file() -> None:
    labs = [load(UNWISE / name) for name in names(UNWISE)]
    assert [check.__name__ for check in CHECKS if not any(list(check(lab)) for lab in labs)] == []


@pytest.mark.parametrize("path", [INVENTORY / "lab.yml", *EXAMPLES], ids=lambda path: path.stem)
def test_what_is_shipped_is_wise(path: Path) -> None:
    told = [str(warning) for warning in load(path).warnings]
    assert [text for text in told if INEVITABLE not in text] == []
