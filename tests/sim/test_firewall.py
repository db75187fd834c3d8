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
PART = "/etc/halofleet/.firewall.nft.check"
CHECK = f"umask 077; base64 -d >{PART} && nft -c -f {PART}; status=$?; rm -f {PART}; exit $status"
LOAD = [
    "systemctl daemon-reload && systemctl enable --quiet halofleet-firewall.service",
    "systemctl reload-or-restart halofleet-firewall.service",
]
CLOSED = """
	chain forward {
		type filter hook forward priority filter - 5; policy accept;
		iifname { "thunderbolt0", "thunderbolt1" } drop
		oifname { "thunderbolt0", "thunderbolt1" } drop
	}
}
"""
TABLE = (
    """\
table inet halofleet {
	chain input {
		type filter hook input priority filter - 5; policy accept;
		tcp dport 22 accept
		iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport %(port)s accept
		iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport 15201 accept
		tcp dport { 15201, %(port)s } drop
	}
"""
    + CLOSED
)
CONTROLLER = (
    """\
table inet halofleet {
	chain input {
		type filter hook input priority filter - 5; policy accept;
		tcp dport 22 accept
		tcp dport { 15201, 50052 } drop
		iifname "lo" tcp dport 8080 accept
%s		tcp dport 8080 drop
	}
"""
    + CLOSED
)
MIDDLE = """\
table inet halofleet {
	chain input {
		type filter hook input priority filter - 5; policy accept;
		tcp dport 22 accept
		iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport 50052 accept
		iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport 15201 accept
		tcp dport { 15201, 50052 } drop
	}

	chain forward {
		type filter hook forward priority filter - 5; policy accept;
		iifname "thunderbolt1" oifname "thunderbolt0" ip saddr 10.44.255.252 ip daddr 10.44.255.254 accept
		iifname "thunderbolt0" oifname "thunderbolt1" ip saddr 10.44.255.254 ip daddr 10.44.255.252 accept
		icmp type { destination-unreachable, time-exceeded } accept
		iifname { "thunderbolt0", "thunderbolt1" } drop
		oifname { "thunderbolt0", "thunderbolt1" } drop
	}
}
"""
FAR_END = (TABLE % {"port": 50052}).replace("10.44.0.0 ip daddr 10.44.0.1", "10.44.255.254 ip daddr 10.44.255.252", 1)
FAR_END = FAR_END.replace("10.44.0.0 ip daddr 10.44.0.1", "10.44.0.8 ip daddr 10.44.0.9")
FAR_END = FAR_END.replace('{ "thunderbolt0", "thunderbolt1" }', '"thunderbolt0"')


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("firewall")
    assert stage.run("firewall", sim).commands == [("rules loaded", [CHECK, RULES, UNIT, *LOAD])]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50052}}
    assert "halofleet-firewall.service" in sim.systemd.enabled


def test_another_port_loads_the_rules_again_and_leaves_the_unit(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50060}}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rules_that_somebody_changed_by_hand_come_back(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_cpp")
    sim.nftables.tables.clear()
    assert stage.run("firewall", sim).flat == [CHECK, *LOAD]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50052}}


def test_a_worker_that_lost_its_job_has_no_door(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    stage.change(serves__chat__workers=["halo3"])
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD]
    assert re.findall(r"\t\t(.*) accept\n", sim.nftables.tables["halofleet"]) == [
        "tcp dport 22",
        'iifname "thunderbolt0" ip saddr 10.44.0.0 ip daddr 10.44.0.1 tcp dport 15201',  # what measures the link
    ]
    assert "tcp dport { 15201, 50052 } drop" in sim.nftables.tables["halofleet"]


def test_rules_that_nft_refuses_do_not_cost_the_ones_that_are_loaded(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_cpp")
    loaded = dict(sim.nftables.tables)
    stage.change(links__0={"usb4": {"halo1": "thunderbolt0", "halo2": "thunderbolt1"}, "number": 0})
    stage.change(links__1={"usb4": {"halo2": "thunderbolt0", "halo3": "thunderbolt0"}})
    refuse = sim.nftables.nft
    sim.programs["nft"] = lambda call: refuse(call) if "list" in call.words else type(refuse(call))(status=1)
    run = stage.run("firewall", sim, dies_after=99)
    assert (run.flat, run.guards) == ([CHECK], [])
    assert sim.nftables.tables == loaded


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_another_rule_leaves_the_rpc_server_alone(stages: Stages, flavour: str) -> None:
    """It requires the firewall's unit; a restart of that one would be a restart of the RPC server."""
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_server")
    before = {name: (unit.pid, unit.invocation) for name, unit in sim.systemd.units.items()}
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50060}}
    assert {name: (unit.pid, unit.invocation) for name, unit in sim.systemd.units.items()} == before
    assert "halofleet-rpc-server.service" in before


def test_a_reload_that_fails_costs_neither_the_rules_nor_the_rpc_server(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_server")
    loaded = dict(sim.nftables.tables)
    worker = sim.systemd.units["halofleet-rpc-server.service"].invocation
    stage.change(serves__chat__rpc_port=50060)
    load = sim.nftables.nft
    sim.programs["nft"] = lambda call: Reply(status=1) if call.words[0] == "-f" else load(call)
    run = stage.run("firewall", sim, dies_after=99)
    assert (run.ended, run.flat) == (False, [CHECK, RULES, *LOAD])
    assert sim.nftables.tables == loaded
    assert sim.systemd.units["halofleet-rpc-server.service"].invocation == worker
    assert sim.systemd.units["halofleet-firewall.service"].active == "active"
    sim.programs["nft"] = load
    assert stage.run("firewall", sim).flat == [CHECK, *LOAD]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50060}}


def test_a_firewall_that_was_stopped_is_started(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_cpp")
    sim.systemd.stop("halofleet-firewall.service")
    sim.nftables.tables.clear()
    assert stage.run("firewall", sim).flat == [CHECK, *LOAD]
    assert sim.systemd.units["halofleet-firewall.service"].active == "active"
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50052}}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_controller(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("firewall")
    assert stage.run("firewall", sim).commands == [("rules loaded", [CHECK, RULES, UNIT, *LOAD])]
    assert sim.nftables.tables == {"halofleet": CONTROLLER % "\t\tip saddr 10.43.0.0/24 tcp dport 8080 accept\n"}
    second = stage.run("firewall", sim)
    assert second.flat == []
    assert len(second.sent) == 2, "one look at the files, one at the rules"


@pytest.mark.parametrize(
    ("networks", "listed"),
    [
        ([], []),
        (["192.168.1.0/24", "10.8.0.7/32"], ["192.168.1.0/24", "10.8.0.7"]),
        (["0.0.0.0/0"], ["0.0.0.0/0"]),
    ],
)
def test_the_inventory_says_from_where_the_api_is_reached(
    stages: Stages, networks: list[str], listed: list[str]
) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_cpp")
    stage.change(firewall={"api": networks})
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD]
    doors = "".join(f"\t\tip saddr {network} tcp dport 8080 accept\n" for network in listed)
    assert sim.nftables.tables == {"halofleet": CONTROLLER % doors}
    assert stage.run("firewall", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_node_in_the_middle_passes_on_what_its_place_asks_for(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    stage.change(links__2=None)
    sim = stage.before("firewall")
    assert stage.run("firewall", sim).flat == [CHECK, RULES, UNIT, *LOAD]
    assert sim.nftables.tables == {"halofleet": MIDDLE}
    assert stage.run("firewall", sim).flat == []
    stage.changed.clear()
    assert stage.run("firewall", sim).flat == [CHECK, RULES, *LOAD]
    assert sim.nftables.tables == {"halofleet": TABLE % {"port": 50052}}, "a ring has no middle"


def test_a_worker_behind_another_lets_the_loopback_address_of_its_controller_in(stages: Stages) -> None:
    stage = stages("ubuntu", "halo3")
    stage.change(links__2=None)
    sim = stage.before("firewall")
    stage.run("firewall", sim)
    assert sim.nftables.tables == {"halofleet": FAR_END}


def test_what_comes_by_a_fabric_is_not_passed_on_either(stages: Stages) -> None:
    stage = stages("debian", "halo3")
    fabric = {"ethernet": {"halo1": "enp97s0", "halo3": "enp97s0"}, "subnet": "10.45.0.0/24"}
    stage.change(links__2=fabric)
    sim = stage.before("firewall")
    stage.run("firewall", sim)
    table = sim.nftables.tables["halofleet"]
    assert '\t\tiifname "enp97s0" ip saddr 10.45.0.1 ip daddr 10.45.0.3 tcp dport 50052 accept\n' in table
    assert '\t\tiifname { "enp97s0", "thunderbolt0" } drop\n' in table
