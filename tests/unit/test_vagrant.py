"""The lab of the Vagrantfile is a lab. What Vagrant says of the file itself: tests/vm/test_vagrant.py."""

from __future__ import annotations

from pathlib import Path

from inventory.spec import load

ROOT = Path(__file__).parents[2]


def test_its_lab_loads_without_a_warning_and_takes_the_names_that_the_vagrantfile_gives() -> None:
    lab = load(ROOT / "inventory/vagrant.yml")
    assert lab.warnings == ()
    assert sorted({node.os for node in lab.nodes.values()}) == ["fedora-43", "ubuntu-26.04"]
    assert [end.interface for end in lab.ends("halo2")] == ["link12", "link23"]
    assert (ROOT / "inventory/vagrant.py").read_text() == (ROOT / "inventory/lab.py").read_text()
