"""firewall: RPC ports are closed but for the controller, and SSH is never touched."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.shell import Reply

Stages = Callable[..., Stage]

RULES = "write /etc/halofleet/firewall.nft 644 root:root"
UNIT = "write /etc/systemd/system/halofleet-firewall.service 644 root:root"
LOAD = [
    "nft -c -f /etc/halofleet/firewall.nft",
    "systemctl daemon-reload && systemctl enable --quiet halofleet-firewall.service",
    "systemctl reload-or-restart halofleet-firewall.service",
]
TABLE = """\
table inet halofleet {
	chain input {
		type filter hook input priority filter - 5; policy accept;
		tcp dport 22 accept
		iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport %(port)s accept
		tcp dport %(port)s drop
	}
}
"""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("firewall")
    assert stage.run("firewall", sim).commands == [("rules and unit", [RULES, UNIT]), ("rules loaded", LOAD)]
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50052}}
    assert "halofleet-firewall.service" in sim.systemd.enabled


def test_another_port_loads_the_rules_again_and_leaves_the_unit(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("firewall", sim).flat == [RULES, *LOAD]
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50060}}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rules_that_somebody_changed_by_hand_come_back(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    sim.network.tables.clear()
    assert stage.run("firewall", sim).flat == LOAD
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50052}}


def test_a_worker_that_lost_its_job_has_no_door(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    stage.change(serves__chat__workers=["halo3"])
    assert stage.run("firewall", sim).flat == [RULES, *LOAD]
    assert re.findall(r"\t\t(.*) accept\n", sim.network.tables["halofleet"]) == ["tcp dport 22"]
    assert "tcp dport 50052 drop" in sim.network.tables["halofleet"]


def test_rules_that_nft_refuses_do_not_cost_the_ones_that_are_loaded(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    loaded = dict(sim.network.tables)
    stage.change(links__0={"usb4": {"halo1": "thunderbolt0", "halo2": "thunderbolt1"}, "number": 0})
    stage.change(links__1={"usb4": {"halo2": "thunderbolt0", "halo3": "thunderbolt0"}})
    refuse = sim.network.nft
    sim.programs["nft"] = lambda call: refuse(call) if "list" in call.words else type(refuse(call))(status=1)
    run = stage.run("firewall", sim, dies_after=99)
    assert run.flat == [RULES, LOAD[0]]
    assert sim.network.tables == loaded


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_another_rule_leaves_the_rpc_server_alone(stages: Stages, flavour: str) -> None:
    """It requires the firewall's unit; a restart of that one would be a restart of the RPC server."""
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_server")
    before = {name: (unit.pid, unit.invocation) for name, unit in sim.systemd.units.items()}
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("firewall", sim).flat == [RULES, *LOAD]
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50060}}
    assert {name: (unit.pid, unit.invocation) for name, unit in sim.systemd.units.items()} == before
    assert "halofleet-rpc-server.service" in before


def test_a_reload_that_fails_costs_neither_the_rules_nor_the_rpc_server(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_server")
    loaded = dict(sim.network.tables)
    worker = sim.systemd.units["halofleet-rpc-server.service"].invocation
    stage.change(serves__chat__rpc_port=50060)
    load = sim.network.nft
    sim.programs["nft"] = lambda call: Reply(status=1) if call.words[0] == "-f" else load(call)
    run = stage.run("firewall", sim, dies_after=99)
    assert (run.ended, run.flat) == (False, [RULES, *LOAD])
    assert sim.network.tables == loaded
    assert sim.systemd.units["halofleet-rpc-server.service"].invocation == worker
    assert sim.systemd.units["halofleet-firewall.service"].active == "active"
    sim.programs["nft"] = load
    assert stage.run("firewall", sim).flat == LOAD
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50060}}


def test_a_firewall_that_was_stopped_is_started(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    sim.systemd.stop("halofleet-firewall.service")
    sim.network.tables.clear()
    assert stage.run("firewall", sim).flat == LOAD
    assert sim.systemd.units["halofleet-firewall.service"].active == "active"
    assert sim.network.tables == {"halofleet": TABLE % {"port": 50052}}
