"""What breaks, and how: on the services of halofleet, and on a bare llama.cpp of the same hosts and binaries."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
from paramiko import SSHException

from inventory.spec import load
from tests.lab.harness import Lab

CONTROLLER, WORKERS = "halo1", ("halo2", "halo3")
PORT = 50052
QUESTION = {"prompt": "Once upon a time", "n_predict": 12, "temperature": 0, "seed": 1, "cache_prompt": False}
LONG: dict[str, Any] = {"n_predict": 700, "ignore_eos": True}
BIN = "/opt/halofleet/llama.cpp/current-cpu/bin"
OURS = ("halofleet-server-chat", "halofleet-rpc-server")


@dataclass
class Cluster:
    """A server and its workers. server, worker: their units. key: of the API."""

    lab: Lab
    server: str
    worker: str
    key: str
    right: str = ""
    """What it answers, where nothing is wrong with it."""

    @property
    def url(self) -> str:
        return f"http://{self.lab.addresses[CONTROLLER]}:8080/completion"

    def ask(self, seconds: float, **more: Any) -> str:
        """Raises what requests raises."""
        headers = {"Authorization": f"Bearer {self.key}"}
        reply = requests.post(self.url, json=QUESTION | more, headers=headers, timeout=seconds)
        reply.raise_for_status()
        return str(reply.json()["content"])

    def answers(self, within: float) -> float:
        """Seconds until it answers, and rightly; raises where it does not."""
        start, wrong = time.monotonic(), ""
        while time.monotonic() - start < within:
            try:
                said = self.ask(5)
            except (requests.RequestException, ValueError, KeyError):
                time.sleep(0.2)
                continue
            if said == self.right:
                return time.monotonic() - start
            wrong = said
        raise AssertionError(f"no right answer within {within:.0f} s" + (f", but {wrong!r}" if wrong else ""))

    def pid(self, host: str) -> str:
        unit = self.server if host == CONTROLLER else self.worker
        return self.lab.ssh(host, f"systemctl show -p MainPID --value {unit}").strip()

    def signal(self, name: str, *hosts: str) -> None:
        for host in hosts:
            self.lab.ssh(host, f"kill -{name} {self.pid(host)}")

    def state(self) -> str:
        """The server's, in systemd's words."""
        words = "systemctl show -p ActiveState -p Result -p ExecMainStatus --value " + self.server
        return " ".join(self.lab.ssh(CONTROLLER, words).split())


def bare(lab: Lab) -> Cluster:
    """As the guides have it: each program started once, with the flags of our units. Ours are stopped."""
    ways = load(lab.yml).ways("chat")
    for host in (CONTROLLER, *WORKERS):
        lab.ssh(host, "systemctl stop halofleet-guard " + (OURS[0] if host == CONTROLLER else OURS[1]))
    endpoints = []
    for way in ways:
        endpoints.append(f"{way.destination}:{PORT}")
        program = f"{BIN}/ggml-rpc-server --host {way.destination} --port {PORT}"
        lab.ssh(way.into.node, f"{TIDY.format(unit='bare-worker')}; systemd-run --quiet --unit=bare-worker {program}")
    command = lab.ssh(CONTROLLER, f"systemctl cat {OURS[0]} | sed -n '/^ExecStart=/,/[^\\\\]$/p'")
    words = command.replace("ExecStart=", "").replace("\\\n", " ").split()
    words = words[: words.index("--api-key-file")]
    lab.ssh(CONTROLLER, f"{TIDY.format(unit='bare-server')}; systemd-run --quiet --unit=bare-server {' '.join(words)}")
    return Cluster(lab, "bare-server", "bare-worker", "none")


TIDY = "systemctl kill -s SIGKILL {unit} 2>/dev/null; sleep 0.3; systemctl reset-failed {unit} 2>/dev/null || true"


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
    the middle of a generation. bare: what is done to a bare llama.cpp too."""

    name: str
    there: Callable[[Cluster], None]
    busy: bool = False
    bare: bool = True
    seconds: float = field(default=30.0, kw_only=True)
    """Beside the model's loading: how long it may take from then on."""


def long_answer(cluster: Cluster) -> threading.Thread:
    """A user who waits, and may wait in vain."""

    def wait() -> None:
        with suppress(requests.RequestException, ValueError, KeyError):
            cluster.ask(60, **LONG)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(1.0)
    return thread


def _off_and_on(cluster: Cluster, host: str) -> None:
    cluster.lab.ssh(host, "systemctl poweroff --no-block")
    cluster.lab.wait_until_gone(host)
    time.sleep(5)
    cluster.lab.up().ok()


def _rebooted(cluster: Cluster, *hosts: str) -> None:
    before = {host: _booted(cluster, host) for host in hosts}
    for host in hosts:
        cluster.lab.ssh(host, "systemd-run --quiet --on-active=1 systemctl reboot")
    deadline = time.monotonic() + 90
    for host in hosts:
        while _booted(cluster, host) in ("", before[host]):
            assert time.monotonic() < deadline, f"{host} does not come back"
            time.sleep(0.3)


def _booted(cluster: Cluster, host: str) -> str:
    """When its PID 1 was started; empty where it does not answer."""
    try:
        return cluster.lab.ssh(host, "cut -d' ' -f22 /proc/1/stat")
    except (OSError, EOFError, SSHException):
        return ""


def _link_down(cluster: Cluster, seconds: float) -> None:
    cluster.lab.ssh("halo2", f"ip link set usb4-1 down; sleep {seconds}; ip link set usb4-1 up")


def _no_address_at_boot(cluster: Cluster) -> None:
    """The cable is out while it boots."""
    lab = cluster.lab
    lab.ssh("halo3", "ip link delete usb4-1")
    _rebooted(cluster, "halo3")
    time.sleep(10)
    lab.up().ok()


HOLD = (
    "import socket,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
    "s.bind(('{address}', {port})); s.listen(1); time.sleep({seconds})"
)


def _port_taken(cluster: Cluster, seconds: int) -> None:
    way = next(way for way in load(cluster.lab.yml).ways("chat") if way.into.node == "halo2")
    hold = HOLD.format(address=way.destination, port=PORT, seconds=seconds)
    cluster.lab.ssh(
        "halo2",
        f"systemctl kill -s SIGKILL {cluster.worker}; "
        "systemd-run --quiet --unit=hold --collect --property=Restart=always "
        f'--property=RestartSec=100ms python3 -c "{hold}"; '
        f"sleep {seconds}; systemctl stop hold; systemctl reset-failed hold 2>/dev/null || true",
    )


def _model(cluster: Cluster, spoil: str) -> None:
    """And the server is started anew over it; after a while the file is as it was."""
    path = json.loads(cluster.lab.ssh(CONTROLLER, MODEL))
    back = f"mv -f {path}.kept {path}"
    cluster.lab.ssh(CONTROLLER, f"cp -p --reflink=auto {path} {path}.kept; f={path}; {spoil}")
    cluster.signal("KILL", CONTROLLER)
    time.sleep(8)
    cluster.lab.ssh(CONTROLLER, back)


MODEL = f"systemctl cat {OURS[0]} | sed -n 's/^ *--model \\([^ ]*\\).*/\"\\1\"/p'"


def _without_its_guard(cluster: Cluster) -> None:
    cluster.lab.ssh("halo2", "systemctl kill -s SIGKILL halofleet-guard")
    cluster.signal("STOP", "halo2")


FAULTS = (
    Fault("worker killed while idle", lambda it: it.signal("KILL", "halo2")),
    Fault("worker killed in the middle of a generation", lambda it: it.signal("KILL", "halo2"), busy=True),
    Fault("both workers killed", lambda it: it.signal("KILL", *WORKERS)),
    Fault("worker frozen while idle", lambda it: it.signal("STOP", "halo3")),
    Fault("worker frozen in the middle of a generation", lambda it: it.signal("STOP", "halo3"), busy=True),
    Fault("server killed", lambda it: it.signal("KILL", CONTROLLER)),
    Fault("server frozen", lambda it: it.signal("STOP", CONTROLLER)),
    Fault("worker's guard killed, and the worker frozen", _without_its_guard, bare=False),
    Fault("RPC port taken by another process for 10 s", lambda it: _port_taken(it, 10)),
    Fault("link down for 30 s", lambda it: _link_down(it, 30)),
    Fault("link down for 30 s in the middle of a generation", lambda it: _link_down(it, 30), busy=True),
    Fault("model file missing when the server starts", lambda it: _model(it, "rm $f"), bare=False),
    Fault("model file cut short when the server starts", lambda it: _model(it, "truncate -s 1000000 $f"), bare=False),
    Fault("worker's host powered off, and back", lambda it: _off_and_on(it, "halo3"), bare=False),
    Fault("controller's host rebooted", lambda it: _rebooted(it, CONTROLLER), bare=False),
    Fault("all hosts rebooted at once", lambda it: _rebooted(it, CONTROLLER, *WORKERS), bare=False),
    Fault("link missing while the worker boots", _no_address_at_boot, bare=False),
)
