"""verify: what runs and listens, judged on every node; and the serve answers, asked over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from urllib3.util import connection

from inventory.spec import home
from roles.lib.stop import Failed
from tests.sim.conftest import Stage
from tests.sim.connector import SimConnector
from tests.sim.flavours import FLAVOURS
from tests.sim.host import SimHost

Stages = Callable[..., Stage]
RPC = "halofleet-rpc-server.service"


class LlamaServer(BaseHTTPRequestHandler):
    """As much of llama-server as verify asks for; `open_to_all`: it forgot to ask for the key."""

    open_to_all = False

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = home.api_key("lab", "chat").read_text().strip()
        known = self.headers.get("Authorization") == f"Bearer {key}"
        if self.path != "/v1/chat/completions" or body["model"] != "tiny":
            self._answer(404, {})
        elif known or self.open_to_all:
            self._answer(200, {"usage": {"completion_tokens": body["max_tokens"]}})
        else:
            self._answer(401, {"error": {"code": 401, "message": "Invalid API Key"}})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr("roles.verify.operations.LISTEN_SECONDS", -1)
    connect, asked = connection.create_connection, ("10.43.0.11", "127.0.0.1")

    def here(address: tuple[str, int], *arguments: Any, **keywords: Any) -> Any:
        assert address[0] in asked, "only the controller is asked, where it listens"
        return connect(("127.0.0.1", address[1]), *arguments, **keywords)

    monkeypatch.setattr(connection, "create_connection", here)
    server = ThreadingHTTPServer(("127.0.0.1", 0), LlamaServer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def controller(stages: Stages, flavour: str, server: ThreadingHTTPServer) -> tuple[Stage, SimHost]:
    """A converged controller whose llama-server is the test's."""
    stage = stages(flavour, "halo1")
    stage.change(serves__chat__port=server.server_port)
    sim = stage.before("verify")
    stage.artifact()
    return stage, sim


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_controller_that_serves(stages: Stages, flavour: str, server: ThreadingHTTPServer) -> None:
    stage, sim = controller(stages, flavour, server)
    before = sim.state()
    assert stage.run("verify", sim).ended
    assert stage.run("verify", sim).flat == []
    assert sim.state() == before


@pytest.mark.parametrize(
    ("bind", "reached"),
    [("0.0.0.0", "10.43.0.11"), ("127.0.0.1", "127.0.0.1")],  # noqa: S104  # a user's own choice
)
def test_the_api_is_asked_where_it_listens_through_the_nodes_connection(
    stages: Stages, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, bind: str, reached: str
) -> None:
    """firewall.api may close it to this machine."""
    ways: list[tuple[str, int]] = []
    reach = SimConnector.reach

    def told(self: SimConnector, address: str, port: int) -> AbstractContextManager[str]:
        ways.append((address, port))
        return reach(self, address, port)

    monkeypatch.setattr(SimConnector, "reach", told)
    stage = stages("debian", "halo1")
    stage.change(serves__chat__port=server.server_port, serves__chat__bind=bind, firewall={"api": []})
    sim = stage.before("verify")
    stage.artifact()
    assert stage.run("verify", sim).ended
    assert ways == [(reached, server.server_port)]


def test_a_controller_whose_worker_is_behind_another(stages: Stages, server: ThreadingHTTPServer) -> None:
    stage = stages("debian", "halo1")
    stage.change(serves__chat__port=server.server_port, links__2=None)
    sim = stage.before("verify")
    stage.artifact()
    assert stage.run("verify", sim.clone(stage.folders())).ended
    unit = sim.systemd.units["halofleet-server-chat.service"]
    unit.runs = unit.runs.replace(",10.44.255.252:50052", "")
    with pytest.raises(Failed, match=r"no layers on 10\.44\.255\.252:50052"):
        stage.run("verify", sim)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_worker_that_listens(stages: Stages, flavour: str, server: ThreadingHTTPServer) -> None:
    stage = stages(flavour, "halo2")
    sim = stage.before("verify")
    stage.artifact()
    assert server.server_port
    assert len(stage.run("verify", sim).sent) == 1
    dry = stage.run("verify", sim, dry=True)
    assert (dry.flat, dry.announced) == ([], ())


def test_a_server_that_asks_for_no_key(
    stages: Stages, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, sim = controller(stages, "fedora", server)
    monkeypatch.setattr(LlamaServer, "open_to_all", True)
    with pytest.raises(Failed, match="without the key ended with 200; expected: 401"):
        stage.run("verify", sim)


def test_a_worker_that_holds_no_layers(stages: Stages, server: ThreadingHTTPServer) -> None:
    stage, sim = controller(stages, "fedora", server)
    unit = sim.systemd.units["halofleet-server-chat.service"]
    unit.runs = unit.runs.replace(",10.44.0.5:50052", "")
    with pytest.raises(Failed, match=r"no layers on 10\.44\.0\.5:50052"):
        stage.run("verify", sim)


def test_a_worker_that_is_down_and_one_of_another_release(stages: Stages, server: ThreadingHTTPServer) -> None:
    stage = stages("ubuntu", "halo2")
    sim = stage.before("verify")
    stage.artifact()
    assert server.server_port
    sim.systemd.stop(RPC)
    with pytest.raises(Failed, match=rf"(?s)RPC listens on its link only: nobody.*{RPC} runs its release: not running"):
        stage.run("verify", sim)
    sim.systemd.restart(RPC)
    stage.change(llama_cpp__cmake={"cpu": ["-DGGML_LTO=ON"]})
    stage.artifact()
    with pytest.raises(Failed, match=f"{RPC} runs its release"):
        stage.run("verify", sim)


def test_a_worker_whose_program_was_replaced_under_it(stages: Stages, server: ThreadingHTTPServer) -> None:
    stage = stages("debian", "halo2")
    sim = stage.before("verify")
    stage.artifact()
    assert server.server_port
    sim.replace_program(RPC)
    with pytest.raises(Failed, match=rf"{RPC} runs its release: \S+/bin/ggml-rpc-server \(deleted\)"):
        stage.run("verify", sim)
