"""network: addresses, routes and MTUs on the links, by the host's own network manager."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.links import CONF, MARKER, SYSCTL, file, reload, up, written

Stages = Callable[..., Stage]

LINKS = ("thunderbolt0", "thunderbolt1")


def both(flavour: str) -> list[str]:
    return reload(
        *up("thunderbolt0", "10.44.0.1/31", flavour=flavour),
        *up("thunderbolt1", "10.44.0.8/31", flavour=flavour),
        flavour=flavour,
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_fresh_host(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("network")
    # NetworkManager uses a new profile as soon as it reads it; what comes after is not needed, and tells.
    assert stage.run("network", sim).commands == [("links up", [*written(flavour, *LINKS), *both(flavour)])]
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == ["10.44.0.8/31"]
    assert sim.network.addresses["host0"] == ["10.43.0.12/24"]


def test_a_new_address_touches_only_its_link(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    stage.change(links__0__number=1)
    assert stage.run("network", sim).flat == [
        *written("ubuntu", "thunderbolt0"),
        *reload(*up("thunderbolt0", "10.44.0.3/31")),
    ]
    assert sim.network.addresses["thunderbolt1"] == ["10.44.0.8/31"]
    assert stage.run("network", sim).flat == []


def test_an_address_that_somebody_removed_comes_back(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    sim.network.addresses["thunderbolt1"] = ["192.168.7.1/24"]
    assert stage.run("network", sim).flat == reload(
        *up("thunderbolt1", "10.44.0.8/31", flavour="fedora"), flavour="fedora"
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_link_that_left_the_inventory_leaves_no_file_and_no_address(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    stage.change(links__1=None)
    run = stage.run("network", sim)
    assert f"rm -f {file(flavour, 'thunderbolt1')}" in run.flat
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == []
    assert stage.run("network", sim).flat == []


def test_what_networkd_runs_with_is_what_the_file_says(stages: Stages) -> None:
    """A line of the file that is no address takes effect too."""
    stage = stages("ubuntu", "halo2")
    sim = stage.before("network")
    stage.run("network", sim)
    path = sim.files.real(file("ubuntu", "thunderbolt0"))
    path.write_text(path.read_text().replace("Forwarding=no", "Forwarding=yes"))
    sim.networkd.reload()
    assert sim.network.forwarding("thunderbolt0")
    assert stage.run("network", sim).flat == [
        *written("ubuntu", "thunderbolt0"),
        *reload(*up("thunderbolt0", "10.44.0.1/31")),
    ]
    assert not sim.network.forwarding("thunderbolt0")
    assert sim.networkd.known["thunderbolt0"] == path.read_text()


def test_an_address_that_networkd_knows_nothing_of_is_taken_away(stages: Stages) -> None:
    """As after a restart of networkd: the link left the inventory, the address of its time is still there."""
    stage = stages("debian", "halo2")
    sim = stage.before("llama_cpp")
    sim.files.real(file("debian", "thunderbolt1")).unlink()
    sim.networkd.reload()
    sim.network.addresses["thunderbolt1"] = ["10.44.0.8/31", "192.168.7.1/24"]
    stage.change(links__1=None)
    assert stage.run("network", sim).ended
    assert sim.network.addresses["thunderbolt0"] == ["10.44.0.1/31"]
    assert sim.network.addresses["thunderbolt1"] == ["192.168.7.1/24"], "no address of ours stays, others do"
    assert stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_file_that_was_written_since_the_manager_read_it_is_read(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    sim.files.real(file(flavour, "thunderbolt0")).touch()
    assert stage.run("network", sim).flat == reload(
        *up("thunderbolt0", "10.44.0.1/31", flavour=flavour), flavour=flavour
    )
    assert stage.run("network", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_after_a_reboot_nothing_is_unread_but_what_was_written_since(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    paths = [sim.files.real(file(flavour, name)) for name in LINKS]
    more = [sim.files.real(path) for path in (CONF, SYSCTL) if flavour == "fedora"]
    for path in paths + more:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    sim.reboot()
    assert not sim.files.real(MARKER).exists()
    assert stage.run("network", sim).flat == []
    paths[1].touch()
    assert stage.run("network", sim).flat == reload(
        *up("thunderbolt1", "10.44.0.8/31", flavour=flavour), flavour=flavour
    )
    assert stage.run("network", sim).flat == []
