"""llama_server: the key, the unit, the attachment to the workers; and that nobody ever sees the key."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from inventory.spec import home
from roles import llama_server
from roles.lib.connections import WORKERS
from roles.lib.stop import Failed
from roles.llama_server import keys
from tests.sim.conftest import Stage
from tests.sim.flavours import FLAVOURS
from tests.thorough import some

Stages = Callable[..., Stage]

NAME = "halofleet-server-chat.service"
PATH = f"/etc/systemd/system/{NAME}"
KEY = "/etc/halofleet/chat.key"
WRITE = f"write {PATH} 644 root:root"
MAKE = (
    "umask 077; {} >/etc/halofleet/chat.key.part && chmod 400 /etc/halofleet/chat.key.part && "
    "chown root:root /etc/halofleet/chat.key.part && mv -f /etc/halofleet/chat.key.part /etc/halofleet/chat.key"
)
FRESH = MAKE.format("{ head -c 32 /dev/urandom | base64 -w 0 | tr +/ -_ | tr -d =; echo; }")
KNOWN = MAKE.format("base64 -d")
ADOPT = f"base64 -w 0 {KEY}"
WAITS = "write /opt/halofleet/lib/await_workers.py 755 root:root"
CHECKS = "write /opt/halofleet/lib/check_model.py 755 root:root"
START = ("serving chat", [CHECKS, WAITS, WRITE, f"systemctl enable --quiet {NAME}", f"restart {NAME}"])


def local_key() -> str:
    return home.api_key("lab", "chat").read_text().strip()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_fresh_controller(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    assert stage.run("llama_server", sim).commands == [("API key of chat", [FRESH, ADOPT]), START]
    assert sim.text(KEY).strip() == local_key()
    assert len(local_key()) == 43
    assert f"{sim.files.real(KEY).stat().st_mode & 0o777:o}" == "400"
    assert f"{home.api_key('lab', 'chat').stat().st_mode & 0o777:o}" == "600"
    text = sim.text(PATH)
    assert f"LoadCredential=api-key:{KEY}\n" in text
    assert "    --rpc 10.44.0.1:50052,10.44.0.5:50052 \\\n" in text
    assert "    --load-mode none \\\n" in text
    assert local_key() not in text
    assert sim.systemd.units[NAME].sub == "running"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_box_that_was_set_up_anew_gets_the_key_that_is_known_here(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    path = home.api_key("lab", "chat")
    path.parent.mkdir(parents=True)
    path.write_text("known-here-7f3a91\n")
    assert stage.run("llama_server", sim).commands == [("API key of chat", [KNOWN]), START]
    assert sim.text(KEY) == "known-here-7f3a91\n"
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_key_replaced_on_the_node_is_taken_over_and_the_server_restarted(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    _put_key(sim, "replaced-by-hand\n")
    assert stage.run("llama_server", sim).flat == [
        ADOPT,
        WRITE,
        "systemctl daemon-reload",
        f"restart {NAME}",
    ]
    assert local_key() == "replaced-by-hand"
    assert sim.text(KEY) == "replaced-by-hand\n"
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize("text", ["no-line-break-at-the-end", "two-line-breaks-at-the-end\n\n"])
def test_a_key_that_a_person_wrote_is_taken_over_once(stages: Stages, text: str) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    _put_key(sim, text)
    assert stage.run("llama_server", sim).ended
    assert local_key() == text.strip()
    assert home.api_key("lab", "chat").read_bytes() == text.encode()
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize(("mode", "owner"), [(0o644, "root:root"), (0o400, "halofleet:halofleet")])
@pytest.mark.parametrize("other", [False, True])
def test_a_key_that_is_not_roots_alone_becomes_so_and_stays_the_key(
    stages: Stages, mode: int, owner: str, other: bool
) -> None:
    """Also where a person wrote another one: the node's is the true one."""
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    if other:
        _put_key(sim, "replaced-by-hand\n")
    key = sim.text(KEY)
    path = sim.files.real(KEY)
    path.chmod(mode)
    sim.files.owners[path.stat().st_ino] = owner
    run = stage.run("llama_server", sim)
    own = f"chown root:root {KEY} && chmod 400 {KEY}"
    assert run.commands[0] == ("API key of chat", [own, ADOPT] if other else [own])
    assert len(run.commands) == (2 if other else 1)
    assert f"{path.stat().st_mode & 0o777:o} {sim.files.owner(path)}" == "400 root:root"
    assert sim.text(KEY) == key
    assert local_key() == key.strip()
    assert stage.run("llama_server", sim).flat == []


def test_the_key_that_is_known_here_arrives_byte_for_byte(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    path = home.api_key("lab", "chat")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no-line-break-at-the-end")
    stage.run("llama_server", sim)
    assert sim.files.real(KEY).read_bytes() == b"no-line-break-at-the-end"
    assert stage.run("llama_server", sim).flat == []


def test_a_server_whose_program_was_replaced_under_it_is_restarted(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    sim.replace_program(NAME)
    assert stage.run("llama_server", sim).flat == [f"restart {NAME}"]
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"serves__chat__port": 9090}, "--port 9090"),
        ({"nodes__halo1__address": "10.43.0.77"}, "--host 10.43.0.77"),
        ({"serves__chat__workers": ["halo2"]}, "--rpc 10.44.0.1:50052 "),
        ({"serves__chat__context": 4096}, "--ctx-size 4096"),
        ({"serves__chat__extra": ["--chat-template", "a b"]}, '--chat-template "a b"'),
    ],
)
def test_a_change_is_the_unit_a_reload_and_a_restart(stages: Stages, changed: dict[str, Any], words: str) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    key = sim.text(KEY)
    stage.change(**changed)
    assert stage.run("llama_server", sim).flat == [WRITE, "systemctl daemon-reload", f"restart {NAME}"]
    assert words in sim.systemd.units[NAME].text
    assert sim.text(KEY) == key
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker_that_came_back_is_attached_again(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    sim.sockets.lose("10.44.0.5:50052")
    assert stage.run("llama_server", sim).commands == [("serving chat", [f"restart {NAME}"])]
    assert stage.run("llama_server", sim).flat == []


def test_a_worker_that_knows_nothing_of_the_connection_is_attached_again(stages: Stages) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    both = {"10.44.0.1:50052": frozenset({"10.44.0.0:4711"}), "10.44.0.5:50052": frozenset({"10.44.0.0:4712"})}
    assert stage.run("llama_server", sim, told={WORKERS: both}).flat == []
    one = {**both, "10.44.0.1:50052": frozenset()}
    assert stage.run("llama_server", sim, told={WORKERS: one}).flat == [f"restart {NAME}"]


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  # a user's own choice
def test_where_it_listens(stages: Stages, bind: str) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    stage.change(serves__chat__bind=bind)
    assert stage.run("llama_server", sim).flat == [WRITE, "systemctl daemon-reload", f"restart {NAME}"]
    assert f" --host {bind} " in " ".join(sim.systemd.units[NAME].text.replace("\\\n", " ").split())
    assert stage.run("llama_server", sim).flat == []
    stage.change(serves__chat__bind="10.43.0.11")  # the default, said
    stage.run("llama_server", sim)
    stage.change(serves__chat__bind=None)
    assert stage.run("llama_server", sim).flat == []


def chosen(stage: Stage, text: str) -> None:
    """The user has chosen the key."""
    path = stage.home.folder / "chosen.key"
    path.touch(0o600)
    path.write_bytes(text.encode())
    stage.change(serves__chat__api_key_file=str(path))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_key_that_the_user_has_chosen(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    chosen(stage, "chosen-by-a-person")
    dry = stage.run("llama_server", sim, dry=True)
    run = stage.run("llama_server", sim)
    assert run.commands == [("API key of chat", [KNOWN, ADOPT]), START]
    assert set(dry.announced) == run.operations
    assert sim.text(KEY) == local_key() == "chosen-by-a-person"
    assert f"{home.api_key('lab', 'chat').stat().st_mode & 0o777:o}" == "600"
    assert stage.run("llama_server", sim).flat == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_chosen_key_replaces_the_nodes_and_a_change_of_it_too(stages: Stages, flavour: str) -> None:
    stage = stages(flavour, "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    for text in ("chosen-by-a-person\n", "chosen-another-time\n"):
        chosen(stage, text)
        dry = stage.run("llama_server", sim, dry=True)
        run = stage.run("llama_server", sim)
        assert run.flat == [KNOWN, ADOPT, WRITE, "systemctl daemon-reload", f"restart {NAME}"]
        assert set(dry.announced) == run.operations
        assert sim.text(KEY) == text
        assert local_key() == text.strip()
        assert text.strip() not in "".join(sent.raw + sent.command for sent in run.sent)
        assert stage.run("llama_server", sim).flat == []
    stage.change(serves__chat__api_key_file=None)
    assert stage.run("llama_server", sim).flat == [], "left out again: the node's key stays what it is"


def test_a_key_that_was_replaced_on_the_node_gives_way_to_the_chosen_one(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    chosen(stage, "chosen-by-a-person\n")
    stage.run("llama_server", sim)
    _put_key(sim, "replaced-by-hand\n")
    assert stage.run("llama_server", sim).flat == [KNOWN]
    assert sim.text(KEY) == "chosen-by-a-person\n"
    assert stage.run("llama_server", sim).flat == []


def test_an_interrupted_change_of_the_key_is_healed_by_the_next_run(stages: Stages) -> None:
    def settled() -> tuple[Stage, Any]:
        stage = stages("fedora", "halo1")
        sim = stage.before("llama_server")
        stage.artifact()
        stage.run("llama_server", sim)
        chosen(stage, "chosen-by-a-person\n")
        return stage, sim

    stage, whole = settled()
    changes = stage.run("llama_server", whole).changes
    for count in some(range(1, changes + 1)):
        stage, sim = settled()
        stage.run("llama_server", sim, dies_after=count)
        stage.run("llama_server", sim)
        assert sim.state() == whole.state(), f"interrupted after change {count} of {changes}"
        assert sim.systemd.stale() == []
        assert local_key() == "chosen-by-a-person"
        assert stage.run("llama_server", sim).flat == []


def test_a_bad_key_file_stops_before_the_node_loses_its_key(stages: Stages) -> None:
    """Preflight has refused it; a file may go while a run goes on."""
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    before = sim.state()
    chosen(stage, "too short\n")
    with pytest.raises(Failed, match=r"serves\.chat\.api_key_file: \S+ is no key file"):
        stage.run("llama_server", sim)
    assert sim.state() == before


def test_a_serve_under_another_name_replaces_the_first(stages: Stages) -> None:
    stage = stages("ubuntu", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    serve = {"model": "tiny", "controller": "halo1", "workers": ["halo2", "halo3"], "context": 2048}
    stage.change(serves={"talk": serve})
    (command,) = stage.run("endpoints", sim).flat
    assert command.startswith(f"systemctl disable --now --quiet {NAME} && rm -f {PATH} && ")
    commands = stage.run("llama_server", sim).commands
    assert [operation for operation, _ in commands] == ["API key of talk", "serving talk"]
    assert sorted(sim.systemd.enabled - sim.systemd.vendor) == [
        "halofleet-firewall.service",
        "halofleet-server-talk.service",
    ]


@pytest.mark.parametrize(("change", "left"), [({"port": 8090}, 0), ({"bind": "127.0.0.1"}, 0), ({"context": 4096}, 1)])
def test_a_server_at_another_endpoint_is_withdrawn_before_the_firewall_forgets_its_port(
    stages: Stages, change: dict[str, Any], left: int
) -> None:
    stage = stages("fedora", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    assert stage.run("endpoints", sim).flat == []
    stage.change(**{f"serves__chat__{key}": value for key, value in change.items()})
    stage.run("endpoints", sim)
    assert [NAME in sim.systemd.units, NAME in sim.systemd.enabled] == [bool(left)] * 2


@pytest.mark.parametrize("known", [None, "known-here-7f3a91c4"])
@pytest.mark.parametrize("user", ["root", "box"])
def test_the_key_is_in_no_command_no_log_and_no_output(
    stages: Stages,
    user: str,
    known: str | None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stage = stages("fedora", "halo1", user)
    sim = stage.before("llama_server")
    stage.artifact()
    if known:
        path = home.api_key("lab", "chat")
        path.parent.mkdir(parents=True)
        path.write_text(f"{known}\n")
    caplog.set_level(logging.DEBUG)
    runs = [stage.run("llama_server", sim, loud=True, diff=True, dry=True)]
    runs.append(stage.run("llama_server", sim, loud=True, diff=True))
    keys = [local_key()]
    assert keys[0] == (known or sim.text(KEY).strip())
    runs.append(stage.run("llama_server", sim, loud=True, diff=True))
    _put_key(sim, "replaced-by-hand\n")
    runs.append(stage.run("llama_server", sim, loud=True, diff=True))
    keys.append(local_key())
    assert keys[1] == "replaced-by-hand"
    shown = "".join(capfd.readouterr()) + caplog.text
    assert "halofleet-server-chat.service" in shown, "the test sees what is printed"
    assert hashlib.sha256(sim.text(KEY).encode()).hexdigest() in shown, "facts are printed"
    lines = "".join(sent.raw + sent.command for run in runs for sent in run.sent)
    for key in keys:
        assert key not in shown
        assert key not in lines
        assert key not in "".join(repr(run) for run in runs)


def _put_key(sim: Any, text: str) -> None:
    path = sim.files.real(KEY)
    path.chmod(0o600)
    path.write_bytes(text.encode())
    path.chmod(0o400)


def test_slots(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.artifact()
    stage.run("llama_server", sim)
    assert "--parallel" not in sim.text(PATH)
    stage.change(serves__chat__slots=2)
    assert f"restart {NAME}" in stage.run("llama_server", sim).flat
    assert "    --parallel 2 \\\n" in sim.text(PATH)


def test_the_copy_here_is_closed_again_and_stays_the_key(stages: Stages) -> None:
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    stage.run("llama_server", sim)
    path, key = home.api_key("lab", "chat"), local_key()
    path.chmod(0o644)
    stage.run("llama_server", sim, dry=True)
    assert path.stat().st_mode & 0o777 == 0o644
    assert stage.run("llama_server", sim).flat == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert local_key() == key


def test_several_keys_of_the_users_own(stages: Stages) -> None:
    """llama-server takes each, our own requests the first."""
    stage = stages("debian", "halo1")
    sim = stage.before("llama_server")
    path = stage.home.folder / "chosen.key"
    path.touch(0o600)
    path.write_text("the-first-of-three\n\nthe-second-of-three\nthe-third-of-three\n")
    path.chmod(0o600)
    stage.change(serves__chat__api_key_file=str(path))
    assert stage.run("llama_server", sim).ended
    assert sim.text(KEY) == path.read_text() == home.api_key("lab", "chat").read_text()
    (server,) = llama_server.plan.plan(stage.lab(), "halo1")
    assert keys.key(server) == "the-first-of-three"
    assert stage.run("llama_server", sim).flat == []
