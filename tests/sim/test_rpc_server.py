"""rpc_server: a worker's unit, on its link's address."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from roles.lib.connections import CONTROLLERS
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost

Stages = Callable[..., Stage]

NAME = "halofleet-rpc-server.service"
PATH = f"/etc/systemd/system/{NAME}"
WRITE = f"write {PATH} 644 root:root"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("rpc_server")
    assert stage.run("rpc_server", sim).commands == [
        ("unit", [WRITE]),
        ("running", [f"systemctl enable --quiet {NAME}", f"restart {NAME}"]),
    ]
    text = sim.text(PATH)
    binary = "/opt/halofleet/llama.cpp/current-cpu/bin/ggml-rpc-server"
    assert f"ExecStart={binary} --host 10.44.0.1 --port 50052\n" in text
    assert "User=halofleet\n" in text
    assert "Requires=halofleet-firewall.service\n" in text
    unit = sim.systemd.units[NAME]
    assert (unit.active, unit.sub) == ("active", "running")
    revision = re.findall("HALOFLEET_REVISION=(.*)", text)[0]
    assert f"HALOFLEET_REVISION={revision}\0" in sim.text(f"/proc/{unit.pid}/environ")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker_behind_another_listens_on_its_loopback_address(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo3")
    stage.change(links__2=None)
    sim = stage.before("rpc_server")
    assert stage.run("rpc_server", sim).ended
    assert " --host 10.44.255.252 --port 50052\n" in sim.text(PATH)
    assert stage.run("rpc_server", sim).flat == []
    assert stage.run("endpoints", sim).flat == []
    stage.changed.clear()
    (command,) = stage.run("endpoints", sim).flat
    assert command.startswith(f"systemctl disable --now --quiet {NAME} && rm -f {PATH} && ")
    stage.run("rpc_server", sim)
    assert " --host 10.44.0.5 --port 50052\n" in sim.systemd.units[NAME].text


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_another_port_is_the_unit_a_reload_and_a_restart(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("llama_server")
    firewall = sim.systemd.units["halofleet-firewall.service"].invocation
    stage.change(serves__chat__rpc_port=50060)
    assert stage.run("rpc_server", sim).flat == [WRITE, "systemctl daemon-reload", f"restart {NAME}"]
    assert "--port 50060" in sim.systemd.units[NAME].text
    assert sim.systemd.units["halofleet-firewall.service"].invocation == firewall


def test_another_release_restarts_the_worker(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_server")
    stage.change(llama_cpp__cmake={"cpu": ["-DGGML_LTO=ON"]})
    stage.artifact()
    stage.run("llama_cpp", sim)
    assert stage.run("rpc_server", sim).flat == [WRITE, "systemctl daemon-reload", f"restart {NAME}"]


def test_a_worker_that_is_let_go_is_stopped_and_removed(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("llama_server")
    stage.change(serves__chat__workers=["halo3"])
    (command,) = stage.run("endpoints", sim).flat
    assert command.startswith(f"systemctl disable --now --quiet {NAME} && rm -f {PATH} && systemctl daemon-reload")
    assert NAME not in sim.systemd.units
    assert NAME not in sim.systemd.enabled
    assert not sim.files.real(PATH).exists()
    assert stage.run("endpoints", sim).flat == []


def test_a_worker_that_moves_is_stopped_before_the_firewall_forgets_its_port(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_server")
    assert stage.run("endpoints", sim).flat == []
    stage.change(serves__chat__rpc_port=50060)
    (command,) = stage.run("endpoints", sim).flat
    assert command.startswith(f"systemctl disable --now --quiet {NAME} && rm -f {PATH} && ")
    assert NAME not in sim.systemd.units, "it runs no more"
    assert NAME not in sim.systemd.enabled, "nor after a reboot"


def test_a_worker_that_died_is_started_again(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_server")
    sim.systemd.stop(NAME)
    assert stage.run("rpc_server", sim).flat == [f"restart {NAME}"]


def test_a_unit_that_was_edited_by_hand_is_put_back_and_restarted(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_server")
    path = sim.files.real(PATH)
    right = path.read_text()
    path.write_text(right.replace("--port 50052", "--port 1"))
    sim.systemd.daemon_reload()
    sim.systemd.restart(NAME)
    stage.run("rpc_server", sim)
    assert path.read_text() == right
    assert sim.systemd.units[NAME].text == right
    assert "--port 50052" in sim.systemd.units[NAME].text


def test_a_worker_that_waits_for_a_controller_that_is_gone_is_restarted(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("llama_server")
    sim.sockets.guests = ("10.44.0.0:55258",)
    own = "10.44.0.1:50052"
    assert stage.run("rpc_server", sim).flat == [], "of a controller that is not in this run nothing is known"
    assert stage.run("rpc_server", sim, told={CONTROLLERS: {own: frozenset(sim.sockets.guests)}}).flat == []
    assert stage.run("rpc_server", sim, told={CONTROLLERS: {own: frozenset()}}).flat == [f"restart {NAME}"]


def test_a_worker_whose_program_was_replaced_under_it_is_restarted(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_server")
    sim.replace_program(NAME)
    assert stage.run("rpc_server", sim).flat == [f"restart {NAME}"]
    assert stage.run("rpc_server", sim).flat == []


def test_a_worker_that_does_not_let_itself_be_stopped_stays_known(stages: Stages) -> None:
    """Without its file nobody would look for it again."""
    stage = stages("debian", "halo2")
    sim = stage.before("llama_server")
    stage.change(serves__chat__workers=["halo3"])
    sim.systemd.units[NAME].immortal = True
    assert not stage.run("endpoints", sim, dies_after=99).ended
    assert sim.files.real(PATH).is_file()
    assert sim.systemd.units[NAME].active == "active"
    sim.systemd.units[NAME].immortal = False
    assert stage.run("endpoints", sim).ended
    assert NAME not in sim.systemd.units
    assert not sim.files.real(PATH).exists()
    assert stage.run("endpoints", sim).flat == []


CACHE = "halofleet-rpc-cache.service"
CACHE_PATH = f"/etc/systemd/system/{CACHE}"
KEEPER = "/opt/halofleet/lib/rpc_cache.py"
HASHER = "/opt/halofleet/llama.cpp/current-cpu/bin/fnv1a64"


def words(sim: SimHost, unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", sim.text(f"/etc/systemd/system/{unit}"), re.M)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker_that_may_keep_what_it_was_sent(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    stage.change(serves__chat__cache="50GiB")
    sim = stage.before("rpc_server")
    dry = stage.run("rpc_server", sim, dry=True)
    assert (dry.flat, dry.announced) == ([], ("unit", "running"))
    assert stage.run("rpc_server", sim).commands == [
        ("unit", [f"write {KEEPER} 644 root:root", f"write {CACHE_PATH} 644 root:root", WRITE]),
        ("running", [f"systemctl enable --quiet {unit}" if not turn else f"restart {unit}"
                     for unit in (NAME, CACHE) for turn in (0, 1)]),
    ]  # fmt: skip
    where = f"/var/cache/halofleet/rpc {HASHER} {50 * 2**30}"
    assert words(sim, NAME, "ExecStartPre") == [f"/usr/bin/python3 -I {KEEPER} check {where}"]
    assert words(sim, CACHE, "ExecStart") == [f"/usr/bin/python3 -I {KEEPER} watch {where}"]
    assert words(sim, NAME, "ExecStart")[0].endswith(" --port 50052 --cache")
    assert "LLAMA_CACHE=/var/cache/halofleet" in words(sim, NAME, "Environment")
    assert words(sim, NAME, "CacheDirectory") == words(sim, CACHE, "CacheDirectory") == ["halofleet"]
    assert all(sim.systemd.units[unit].active == "active" for unit in (NAME, CACHE))
    second = stage.run("rpc_server", sim)
    assert (second.flat, len(second.sent)) == ([], 2)
    assert stage.run("rpc_server", sim, dry=True).announced == ()


def test_without_the_field_nothing_is_kept(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("llama_server")
    assert "cache" not in sim.text(PATH).lower()
    assert not sim.files.real(CACHE_PATH).exists()


def test_a_cache_that_is_not_wanted_any_more_goes_after_the_server_does_without(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    stage.change(serves__chat__cache="50GiB")
    sim = stage.before("llama_server")
    piece = sim.files.real("/var/cache/halofleet/rpc/85944171f73967e8")
    piece.parent.mkdir(parents=True)
    piece.write_text("foobar")
    stage.changed.clear()
    dry = stage.run("rpc_server", sim, dry=True)
    assert (dry.flat, dry.announced) == ([], ("unit", "running"))
    *_, restart, forget = stage.run("rpc_server", sim).flat
    assert restart == f"restart {NAME}"
    assert forget.endswith("rm -rf /var/cache/halofleet")
    assert not sim.files.real("/var/cache/halofleet").exists()
    assert CACHE not in sim.systemd.units
    assert CACHE not in sim.systemd.enabled
    assert " --cache" not in sim.systemd.units[NAME].runs
    assert stage.run("rpc_server", sim).flat == []


def test_a_worker_that_is_let_go_keeps_nothing(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    stage.change(serves__chat__cache="50GiB")
    sim = stage.before("llama_server")
    sim.files.real("/var/cache/halofleet/rpc").mkdir(parents=True)
    stage.change(serves__chat__workers=["halo3"])
    assert len(stage.run("endpoints", sim).flat) == 1
    assert not sim.files.real("/var/cache/halofleet").exists()
    assert not {NAME, CACHE} & (sim.systemd.units.keys() | sim.systemd.enabled)
    assert stage.run("endpoints", sim).flat == []


def test_another_bound_restarts_both(stages: Stages) -> None:
    stage = stages("ubuntu", "halo2")
    stage.change(serves__chat__cache="50GiB")
    sim = stage.before("llama_server")
    stage.change(serves__chat__cache="60GiB")
    commands = stage.run("rpc_server", sim).flat
    assert commands[:2] == [f"write {CACHE_PATH} 644 root:root", WRITE]
    assert commands[-1:] == [f"restart {CACHE}"]
    assert f"restart {NAME}" in commands
    assert sim.systemd.stale() == []
