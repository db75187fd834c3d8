"""link_proof: links are proven once; one that only small packets get through is narrowed; what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from roles.lib.board import LINKS_PROVEN
from roles.lib.stop import Failed
from roles.link_proof.plan import plan
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost
from tests.sim.wires import mac

Stages = Callable[..., Stage]

RECORD = "/var/lib/halofleet/links.proven"
WRITE = f"write {RECORD} 644 root:root"


def wide() -> dict[str, Any]:
    """A change of the lab: its first cable is to take large packets."""
    return {"links__0": {"usb4": {"halo1": "thunderbolt0", "halo2": "thunderbolt0"}, "mtu": 9000}}


def told(sim: SimHost, node: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """As preflight tells it."""
    return {LINKS_PROVEN: {node: tuple(sim.text(RECORD).splitlines())}}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_links_are_proven_by_one_command_and_one_note(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("links")
    run = stage.run("links", sim)
    assert (run.ended, run.flat, len(run.sent)) == (True, [WRITE], 3)  # look, compare the note, write it
    wires = plan(stage.lab(), "halo2").wires
    assert sim.text(RECORD) == "".join(f"{wire.digest} {wire.interface} 1500 0\n" for wire in wires)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_proven_costs_no_command(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    for role in ("addresses", "links"):
        run = stage.run(role, sim, told=told(sim, "halo2"))
        assert (run.ended, run.sent) == (True, ())
    stage.change(links__0__number=1)
    assert len(stage.run("addresses", sim, told=told(sim, "halo2")).sent) == 1, "it is another link now"


def test_preflight_tells_what_is_proven(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    said = sim.execute(stage.run("preflight", sim).sent[0].raw).stdout.splitlines()
    proven = [line.removeprefix("proven ") for line in said if line.startswith("proven ")]
    assert proven == sim.text(RECORD).splitlines()
    assert len(proven) == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_link_that_passes_small_packets_only_is_narrowed_for_good(
    stages: Stages, flavour: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = stages(flavour, "halo2")
    stage.change(**wide())
    sim = stage.before("links")
    sim.wires.passes = 1500
    assert sim.network.mtus["thunderbolt0"] == 9000
    assert stage.run("links", sim).ended
    assert "packets of 9000 bytes do not get to halo1, of 1500 they do" in caplog.text
    assert sim.network.mtus["thunderbolt0"] == 1500
    assert " thunderbolt0 1500 0\n" in sim.text(RECORD)
    # The next run has it from preflight, and the network role leaves it so.
    before = sim.fingerprint()
    remembered = told(sim, "halo2") | {"links narrowed": {"halo2": {"thunderbolt0": 1500}}}
    for role in ("addresses", "network", "links"):
        assert stage.run(role, sim, told=remembered).flat == []
    assert sim.fingerprint() == before
    stage.change(links__0__mtu=4000)  # another plan is tried
    sim.wires.passes = 65535
    for role in ("addresses", "network", "links"):
        stage.run(role, sim, told=told(sim, "halo2"))
    assert sim.network.mtus["thunderbolt0"] == 4000
    assert " thunderbolt0 4000 0\n" in sim.text(RECORD)


def test_it_is_narrowed_where_all_ends_agree(stages: Stages) -> None:
    """halo1's note was lost, or never written: both ends try the planned size again."""
    stage = stages("debian", "halo2")
    stage.change(**wide())
    sim = stage.before("links")
    sim.wires.passes = 1500
    stage.run("links", sim)
    both = told(sim, "halo2")
    both[LINKS_PROVEN]["halo1"] = ()
    assert len(stage.run("addresses", sim, told=both).sent) == 1
    both[LINKS_PROVEN]["halo1"] = both[LINKS_PROVEN]["halo2"]
    assert stage.run("addresses", sim, told=both).sent == ()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_used_link_that_does_not_answer_stops_the_run(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("links")
    sim.wires.silent.add("10.44.0.0")
    with pytest.raises(Failed, match="halo2: usb4 halo1-halo2: half open: nobody answers at thunderbolt0"):
        stage.run("links", sim)
    assert not sim.files.real(RECORD).exists()


def test_a_link_that_nothing_uses_is_named_and_looked_at_again(
    stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("links")
    sim.wires.silent.add("10.44.0.9")
    assert stage.run("links", sim).ended
    assert "halo2: usb4 halo2-halo3: half open" in caplog.text
    assert [line.split()[1] for line in sim.text(RECORD).splitlines()] == ["thunderbolt0"]
    again = stage.run("links", sim, told=told(sim, "halo2"))
    assert (again.flat, len(again.sent)) == ([], 2)
    sim.wires.silent.clear()
    assert stage.run("links", sim, told=told(sim, "halo2")).flat == [WRITE]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_address_that_a_stranger_has_is_not_taken(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("addresses")
    sim.wires.also["10.44.0.1"] = (mac("10.9.9.9"),)
    before = sim.fingerprint()
    with pytest.raises(Failed, match=r"10\.44\.0\.1 is on the wire of thunderbolt0 already: 02:00:0a:09:09:09"):
        stage.run("addresses", sim)
    assert sim.fingerprint() == before
    sim.wires.also["10.44.0.1"] = (
        "02:00:00:00:00:04",
    )  # another interface of this node, which the network role takes it from
    assert stage.run("addresses", sim).ended


def test_an_address_that_two_have_is_a_duplicate(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("links")
    sim.wires.also["10.44.0.1"] = (mac("10.9.9.9"),)
    with pytest.raises(Failed, match=r"10\.44\.0\.1 is used by 02:00:0a:09:09:09, which no node of this run has too"):
        stage.run("links", sim)
