"""Garbage on the RPC port, from the one host that may reach it, and on the API: the service is back within its bound,
and the log says what has happened."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.spec import load
from tests.lab import garbage, test_faults
from tests.lab.faults import CACHE, CONTROLLER, OURS, PORT, Cluster
from tests.lab.harness import Lab
from tests.lab.load import runs
from tests.lab.requests_nobody_wants import ASKED, BODIES, BROKEN, DEEP, METHODS, PATHS

SERVER, RPC = OURS
WORKER = "halo2"
SECONDS = 30.0
"""Beside the model's loading."""
DEADLINE = 20.0
"""For whatever the API says to garbage."""
PUBLIC = {"/health", "/v1/health"}
SAYS = {
    "noise": (1, "Expected HELLO command"),
    "commands": (1, "Unknown command: 99"),
    "sizes": (1, "code=killed, status=6/ABRT"),
    "halves": (8, "Client connection closed"),
}
"""The worker's journal, of each kind of garbage: how often at least, and what. That a client is gone it says of every
one, the server too."""

loading = test_faults.loading


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    lab.cluster().ok()
    found = Cluster(lab, *OURS, (lab.home() / "labs/test/chat.key").read_text().split()[0], CACHE)
    found.right = found.ask(30)
    lab.ssh(CONTROLLER, f"cat >/run/garbage.py <<'END'\n{Path(garbage.__file__).read_text()}\nEND")
    yield found
    lab.cluster().ok()


@pytest.fixture
def stranger(cluster: Cluster) -> Iterator[Stranger]:
    found = Stranger(cluster)
    yield found
    found.ssh(f"systemctl stop {found.unit} || true")


@dataclass
class Stranger:
    """A program on the controller that throws garbage at a worker."""

    cluster: Cluster
    unit: str = "stranger"

    def begins(self, kind: str) -> None:
        address = next(way.destination for way in load(self.cluster.lab.yml).ways("chat") if way.into.node == WORKER)
        program = f"/usr/bin/python3 -u /run/garbage.py {address} {PORT} {kind}"
        self.ssh(f"systemd-run --quiet --collect --unit={self.unit} {program}")
        time.sleep(1)

    def ended(self) -> None:
        self.ssh(f"timeout 60 sh -c 'while systemctl -q is-active {self.unit}; do sleep 0.2; done'")

    def ssh(self, script: str) -> str:
        return self.cluster.lab.ssh(CONTROLLER, script)


def journal(lab: Lab, host: str, unit: str, since: float) -> str:
    return lab.ssh(host, f"journalctl -q -o cat -u {unit} --since=@{int(since)}")


@pytest.mark.parametrize("kind", SAYS)
def test_garbage_beside_a_server_and_when_it_is_gone(
    cluster: Cluster, loading: float, stranger: Stranger, kind: str
) -> None:
    """The worker's seat is taken, and the first piece waits in the kernel; with the server's death all of it comes.
    What comes late may end a worker that is back already: the time is from the last of it."""
    lab, since, before = cluster.lab, time.time(), runs(cluster.lab)
    stranger.begins(kind)
    assert cluster.ask(10) == cluster.right
    assert runs(lab) == before
    cluster.signal("KILL", CONTROLLER)
    stranger.ended()
    print(f"{kind}, and the server killed: {cluster.answers(loading + SECONDS):.1f} s")
    said = journal(lab, WORKER, RPC, since)
    times, words = SAYS[kind]
    assert said.count(words) >= times, said
    assert f"{kind}: all thrown" in journal(lab, CONTROLLER, stranger.unit, since)


def test_a_client_that_takes_the_seat_and_says_nothing(cluster: Cluster, loading: float, stranger: Stranger) -> None:
    """It never goes away; the worker's guard ends that, after 20 s, and nobody loses anything by it."""
    lab, since = cluster.lab, time.time()
    stranger.begins("silence")
    cluster.signal("KILL", CONTROLLER)
    print(f"the seat is taken: {cluster.answers(loading + SECONDS + 15):.1f} s")
    assert stranger.ssh(f"systemctl is-active {stranger.unit}").strip() == "active"
    assert "no answer: it has another client, or is frozen" in journal(lab, CONTROLLER, SERVER, since)
    assert "is not let in, and" in journal(lab, WORKER, "halofleet-guard", since)


def sent(cluster: Cluster, method: str, path: str, body: bytes, key: bool) -> int:
    """The status of the answer; 0 where none comes because the server has died of it."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {cluster.key}"} if key else {})
    url = cluster.api + path
    start = time.monotonic()
    try:
        with requests.request(method, url, data=body, headers=headers, timeout=DEADLINE, stream=True) as reply:
            for _ in reply.iter_content(65536):
                assert time.monotonic() - start < DEADLINE, f"{method} {path} {body!r}: no end of it"
            return reply.status_code
    except requests.ConnectionError:
        return 0


def test_garbage_on_the_api(cluster: Cluster, loading: float) -> None:
    """Whatever has killed it is shown; that it came back is what is asked for."""
    lab, since, before, deaths = cluster.lab, time.time(), runs(cluster.lab), []

    @settings(max_examples=1000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(METHODS), st.sampled_from(PATHS), BODIES, st.booleans())
    def throw(method: str, path: str, body: bytes, key: bool) -> None:
        status = sent(cluster, method, path, body, key)
        assert key or status != 200 or path in PUBLIC, f"{method} {path} is open to everybody"
        if not status:
            deaths.append((method, path, body))
            cluster.answers(loading + SECONDS)

    throw()
    cluster.answers(SECONDS)
    print(f"{len(deaths)} requests have ended the server: {deaths}")
    said = journal(lab, CONTROLLER, SERVER, since)
    assert said.count("Main process exited") == len(deaths), said[-5000:]
    assert deaths or runs(lab) == before


@pytest.mark.parametrize("key", [True, False], ids=["with a key", "without"])
def test_what_is_no_http(cluster: Cluster, key: bool) -> None:
    """Answered, or given up by us: 50 such clients at once leave it well."""
    before, held = runs(cluster.lab), []
    header = f"Authorization: Bearer {cluster.key}\r\n" if key else ""
    address = (cluster.lab.addresses[CONTROLLER], 8080)
    for name, text in BROKEN.items():
        with socket.create_connection(address, 5) as connection, suppress(TimeoutError, ConnectionError):
            connection.settimeout(1)
            connection.sendall(text.replace("{key}", header).encode("latin-1"))
            said = connection.recv(100)
            assert key or not said.startswith(b"HTTP/1.1 200"), f"{name}: {said!r}"
        held += [socket.create_connection(address, 5) for _ in range(3)]
        held[-1].sendall(text.replace("{key}", header).encode("latin-1")[:20])
    assert cluster.ask(DEADLINE) == cluster.right
    for each in held:
        each.close()
    assert cluster.ask(DEADLINE) == cluster.right
    assert runs(cluster.lab) == before


@pytest.mark.parametrize("name", DEEP)
def test_nesting_without_end(cluster: Cluster, loading: float, name: str) -> None:
    """Refused by a llama-server that knows better; this one dies of it, and is back."""
    since = time.time()
    path, rest = DEEP[name]
    status = sent(cluster, "POST", path, f"{ASKED}{rest}}}".encode(), True)
    print(f"{name}: {status or 'it dies'}; {cluster.answers(loading + SECONDS):.1f} s")
    said = journal(cluster.lab, CONTROLLER, SERVER, since)
    assert status or "Main process exited, code=killed, status=11/SEGV" in said, said[-3000:]
    assert sent(cluster, "POST", path, f"{ASKED}{rest}}}".encode(), False) == 401
