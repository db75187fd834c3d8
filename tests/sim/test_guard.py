"""guard: its program, its unit, and that it goes where there is nothing to look after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from roles.guard.program.seen import config
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS

Stages = Callable[..., Stage]

NAME = "halofleet-guard.service"
PATH = f"/etc/systemd/system/{NAME}"
CONFIG = "/etc/halofleet/guard.json"
FOLDER = "/opt/halofleet/lib/guard"
MODULES = re.findall(r"\w+", "__init__ __main__ act api decide journal life look seen server service watch worker")
WRITES = [
    f"directory {FOLDER} 755 root:root",
    *(f"write {FOLDER}/{name}.py 644 root:root" for name in MODULES),
    f"write {CONFIG} 644 root:root",
    f"write {PATH} 644 root:root",
]
STARTS = [f"systemctl enable --quiet {NAME}", f"restart {NAME}"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_controller(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("guard")
    assert stage.run("guard", sim).commands == [("looks after the servers", [*WRITES, *STARTS])]
    assert json.loads(sim.text(CONFIG)) == {
        "node": "halo1",
        "worker": None,
        "servers": [
            {
                "unit": "halofleet-server-chat.service",
                "serve": "chat",
                "host": "10.43.0.11",
                "port": 8080,
                "workers": ["10.44.0.1:50052", "10.44.0.5:50052"],
                "quiet": 300.0,
                "mute": 300.0,
            }
        ],
        "lines": [
            "ggml_vulkan: device lost on",
            "vk::queue::submit: errordevicelost",
            "vk::device::getfencestatus: errordevicelost",
        ],
    }
    text = sim.text(PATH)
    assert "LoadCredential=chat:/etc/halofleet/chat.key\n" in text
    assert "WorkingDirectory=/opt/halofleet/lib\nExecStart=/usr/bin/python3 -Bm guard\n" in text
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\nIPAddressAllow=10.43.0.11\n" in text
    key = sim.text("/etc/halofleet/chat.key").strip()
    assert not any(key in sim.text(path) for path in (PATH, CONFIG)), "the key is root's alone"
    assert sim.systemd.units[NAME].active == "active"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("guard")
    assert stage.run("guard", sim).commands == [("looks after the servers", [*WRITES, *STARTS])]
    wanted = json.loads(sim.text(CONFIG))
    told = {"unit": "halofleet-rpc-server.service", "endpoint": "10.44.0.1:50052", "quiet": 15.0, "mute": 300.0}
    assert wanted["worker"] == told
    assert wanted["servers"] == []
    assert "LoadCredential" not in sim.text(PATH)


@pytest.mark.parametrize("node", ["halo1", "halo2"])
def test_it_knows_its_services_by_what_their_units_run(stages: Stages, node: str) -> None:
    """systemctl show has the words of ExecStart in one line, with one blank between two."""
    stage = stages("debian", node)
    sim = stage.before("guard")
    stage.run("guard", sim)
    wanted = config(json.loads(sim.text(CONFIG)))
    service = wanted.worker or wanted.servers[0]
    (command,) = re.findall(
        r"^ExecStart=(.*)$", sim.text(f"/etc/systemd/system/{service.unit}").replace("\\\n", " "), re.M
    )
    assert all(flag in f"{' '.join(command.split())} " for flag in service.flags), command


def test_another_port_is_the_configuration_and_a_restart(stages: Stages) -> None:
    stage = stages("fedora", "halo2")
    sim = stage.before("gpu tidy")
    stage.change(serves__chat__rpc_port=50060)
    commands = stage.run("guard", sim).flat
    assert commands == [
        f"write {CONFIG} 644 root:root", f"write {PATH} 644 root:root", "systemctl daemon-reload", f"restart {NAME}",
    ]  # fmt: skip
    assert stage.run("guard", sim).flat == []


def test_an_api_on_every_address_is_asked_on_this_one(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    stage.change(serves__chat__bind="0.0.0.0")  # noqa: S104
    sim = stage.before("guard")
    stage.run("guard", sim)
    assert json.loads(sim.text(CONFIG))["servers"][0]["host"] == "127.0.0.1"


@pytest.mark.parametrize("node", ["halo1", "halo2"])
def test_larger_pieces_of_a_prompt_may_take_longer(stages: Stages, node: str) -> None:
    """All that is seen of a piece is its end, and it may be busy all the time."""
    stage = stages("debian", node)
    stage.change(serves__chat__extra=["-b", "4096", "-ub", "2048"])
    sim = stage.before("guard")
    stage.run("guard", sim)
    wanted = json.loads(sim.text(CONFIG))
    told = wanted["worker"] or wanted["servers"][0]
    assert (told["quiet"], told["mute"]) == {"halo1": (1200.0, 1200.0), "halo2": (60.0, 1200.0)}[node]


@pytest.mark.parametrize(("extra", "mute"), [([], 1200.0), (["--batch_size", "8192"], 4800.0), (["-b", "512"], 1200.0)])
def test_a_server_that_computes_alone_shows_the_end_of_a_batch(stages: Stages, extra: list[str], mute: float) -> None:
    stage = stages("debian", "halo1")
    stage.change(serves__chat__workers=[], serves__chat__extra=extra)
    sim = stage.before("guard")
    stage.run("guard", sim)
    assert json.loads(sim.text(CONFIG))["servers"][0]["mute"] == mute


def test_another_key_restarts_it(stages: Stages) -> None:
    """systemd hands the key over when it starts."""
    stage = stages("debian", "halo1")
    sim = stage.before("gpu tidy")
    before = sim.systemd.units[NAME].invocation
    path = stage.home.folder / "chosen.key"
    path.write_text("a-key-that-the-user-has-chosen\n")
    path.chmod(0o600)
    stage.change(serves__chat__api_key_file=str(path))
    stage.run("llama_server", sim)
    assert stage.run("guard", sim).flat == [f"write {PATH} 644 root:root", "systemctl daemon-reload", f"restart {NAME}"]
    assert sim.systemd.units[NAME].invocation != before
    assert stage.run("guard", sim).flat == []


def test_a_file_of_an_older_version_goes_and_one_that_was_changed_comes_back(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("gpu tidy")
    sim.files.real(f"{FOLDER}/old.py").write_text("")
    sim.files.real(f"{FOLDER}/act.py").write_text("")
    assert stage.run("guard", sim).flat == [f"write {FOLDER}/act.py 644 root:root", f"rm -f {FOLDER}/old.py"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_node_that_is_let_go_is_looked_after_no_more(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("gpu tidy")
    stage.change(serves__chat__workers=["halo3"])
    commands = stage.run("guard", sim).flat
    assert commands[0].startswith(f"systemctl disable --now --quiet {NAME} && rm -f {PATH} && systemctl daemon-reload")
    assert commands[1:] == [*(f"rm -f {FOLDER}/{name}.py" for name in MODULES), f"rm -f {CONFIG}"]
    assert NAME not in sim.systemd.units
    assert stage.run("guard", sim).flat == []


def test_a_node_that_never_had_one(stages: Stages) -> None:
    stage = stages("debian", "halo2")
    stage.change(serves__chat__workers=["halo3"])
    sim = stage.before("guard")
    assert stage.run("guard", sim).flat == []
