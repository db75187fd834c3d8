"""A cluster to break: the services of halofleet, and a bare llama.cpp of the same hosts and binaries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from inventory.spec import load
from tests.lab.harness import Lab

CONTROLLER, WORKERS = "halo1", ("halo2", "halo3")
PORT = 50052
QUESTION = {"prompt": "Once upon a time", "n_predict": 12, "temperature": 0, "seed": 1, "cache_prompt": False}
LONG: dict[str, Any] = {"n_predict": 700, "ignore_eos": True}
BIN = "/opt/halofleet/llama.cpp/current-cpu/bin"
OURS = ("halofleet-server-chat", "halofleet-rpc-server")
CACHE, BARE_CACHE = "/var/cache/halofleet/rpc", "/var/lib/bare"


@dataclass
class Cluster:
    """A server and its workers. server, worker: their units. key: of the API. cache: where its workers keep what
    they were sent. starts: shell that starts what belongs on a host, where nobody else does."""

    lab: Lab
    server: str
    worker: str
    key: str
    cache: str
    starts: Mapping[str, str] = field(default_factory=dict)
    right: str = ""
    """What it answers, where nothing is wrong with it."""

    @property
    def api(self) -> str:
        return f"http://{self.lab.addresses[CONTROLLER]}:8080"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def ask(self, seconds: float, **more: Any) -> str:
        """Raises what requests raises."""
        reply = requests.post(f"{self.api}/completion", json=QUESTION | more, headers=self.headers, timeout=seconds)
        reply.raise_for_status()
        return str(reply.json()["content"])

    def generates(self) -> bool:
        """Whether it is in the middle of an answer."""
        slots = requests.get(f"{self.api}/slots", headers=self.headers, timeout=5).json()
        return any(slot["is_processing"] and slot["next_token"][0]["n_decoded"] for slot in slots)

    def answers(self, within: float) -> float:
        """Seconds until it answers, and rightly; raises where it does not."""
        start, said = time.monotonic(), ""
        while time.monotonic() - start < within:
            with suppress(requests.RequestException, ValueError, KeyError):
                said = self.ask(5)
                if said == self.right:
                    return time.monotonic() - start
            time.sleep(0.2)
        raise AssertionError(f"no right answer within {within:.0f} s" + (f", but {said!r}" if said else ""))

    def pid(self, host: str) -> str:
        unit = self.server if host == CONTROLLER else self.worker
        found = self.lab.ssh(host, f"systemctl show -p MainPID --value {unit}").strip()
        assert found != "0", f"{unit} does not run"
        return found

    def signal(self, name: str, *hosts: str) -> None:
        for host in hosts:
            self.lab.ssh(host, f"kill -{name} {self.pid(host)}")

    def journals(self, since: float, *hosts: str) -> str:
        """What our units have said on these hosts, or all, and systemd of them."""
        command = f"journalctl -q -o cat --since @{int(since)} -u 'halofleet-*'"
        return "".join(self.lab.ssh(host, command) for host in hosts or (CONTROLLER, *WORKERS))

    def anew(self, *hosts: str) -> None:
        """What runs there is killed and started again, if only by hand."""
        for host in hosts:
            unit = self.server if host == CONTROLLER else self.worker
            # The guard may have been first with the server of a worker that is gone.
            self.lab.ssh(host, self.starts[host] if self.starts else f"systemctl kill -s SIGKILL {unit} || true")

    def state(self) -> list[str]:
        """The server's, in systemd's words: ActiveState, Result, ExecMainStatus, in an order of its own."""
        words = "systemctl show -p ActiveState -p Result -p ExecMainStatus --value " + self.server
        return self.lab.ssh(CONTROLLER, words).split()


def bare(lab: Lab, right: str) -> Cluster:
    """As the guides have it: each program started once, with the flags of our units. Ours are stopped."""
    for host in (CONTROLLER, *WORKERS):
        lab.ssh(host, "systemctl stop halofleet-guard " + (OURS[0] if host == CONTROLLER else OURS[1]))
    starts = {}
    for way in load(lab.yml).ways("chat"):
        environment = f"--setenv=LLAMA_CACHE={BARE_CACHE}"
        program = f"{environment} {BIN}/ggml-rpc-server --host {way.destination} --port {PORT} --cache"
        listens = f"timeout 30 sh -c 'until ss -ltnH | grep -q :{PORT}; do sleep 0.1; done'"
        starts[way.into.node] = f"{started('bare-worker', program)}; {listens}"
    command = lab.ssh(CONTROLLER, f"systemctl cat {OURS[0]} | sed -n '/^ExecStart=/,/[^\\\\]$/p'")
    words = command.replace("ExecStart=", "").replace("\\\n", " ").split()
    starts[CONTROLLER] = started("bare-server", " ".join(words[: words.index("--api-key-file")]))
    for host, start in starts.items():
        lab.ssh(host, f"rm -rf {BARE_CACHE}; mkdir {BARE_CACHE}; {start}")
    return Cluster(lab, "bare-server", "bare-worker", "none", f"{BARE_CACHE}/rpc", starts, right)


def started(unit: str, program: str) -> str:
    """Shell: the one that may run under that name ends, and this one begins."""
    return f"{TIDY.format(unit=unit)}; systemd-run --quiet --unit={unit} {program}"


TIDY = (
    "systemctl kill -s SIGKILL {unit} 2>/dev/null; systemctl stop {unit} 2>/dev/null; "
    "systemctl reset-failed {unit} 2>/dev/null || true"
)


def put_away(lab: Lab) -> None:
    """The bare one is gone, and ours are asked to run again."""
    lab.ssh(CONTROLLER, TIDY.format(unit="bare-server"))
    for host in WORKERS:
        lab.ssh(host, TIDY.format(unit="bare-worker"))
        lab.ssh(host, f"systemctl start {OURS[1]} halofleet-guard")
    lab.ssh(CONTROLLER, f"systemctl start --no-block {OURS[0]}; systemctl start halofleet-guard")


@dataclass(frozen=True)
class Fault:
    """name: for people. there: makes it, and returns when it is gone or, for what stays as it is, at once. busy: in
    the middle of a generation. bare: what is done to a bare llama.cpp too. after: takes away what stays."""

    name: str
    there: Callable[[Cluster], None]
    busy: bool = False
    bare: bool = True
    seconds: float = field(default=30.0, kw_only=True)
    """Beside the model's loading: how long it may take from then on."""
    after: Callable[[Cluster], None] | None = field(default=None, kw_only=True)
    said: str = field(default="", kw_only=True)
    """Words of the line that tells it, in the journal of one of our units."""


def long_answer(cluster: Cluster) -> threading.Thread:
    """A user who waits, and may wait in vain."""

    def wait() -> None:
        with suppress(requests.RequestException, ValueError, KeyError):
            cluster.ask(60, **LONG)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not cluster.generates():
        assert time.monotonic() < deadline, "nothing is generated"
        time.sleep(0.1)
    return thread
