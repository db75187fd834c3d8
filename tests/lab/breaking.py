"""What breaks, and how: on the services of halofleet or, the same, on a bare llama.cpp."""

from __future__ import annotations

import json
import time
from pathlib import Path

from paramiko import SSHException

from inventory.spec import load
from tests.lab.faults import BIN, CONTROLLER, OURS, PORT, WORKERS, Cluster, Fault


def _off_and_on(cluster: Cluster, host: str) -> None:
    """Off until the server waits for it."""
    since = time.time()
    cluster.lab.ssh(host, "systemctl poweroff --no-block")
    try:
        cluster.lab.wait_until_gone(host)
        deadline = time.monotonic() + 60
        while f"waiting for {host}" not in cluster.journals(since, CONTROLLER):
            assert time.monotonic() < deadline, f"the server does not wait for {host}"
            time.sleep(0.5)
    finally:
        cluster.lab.up().ok()


def _rebooted(cluster: Cluster, *hosts: str, pause: float = 0) -> None:
    before = {host: _booted(cluster, host) for host in hosts}
    for host in hosts:
        time.sleep(pause)
        cluster.lab.ssh(host, "systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
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

TAKEN = (
    "timeout 60 sh -c 'until ss -ltnHp | grep :{port} | grep -q python; "
    "do systemctl kill -s SIGKILL {worker} || true; sleep 1; done'"
)
"""Whoever is first takes it; systemd waits for 2 s before it starts the worker again."""


def _port_taken(cluster: Cluster, seconds: int) -> None:
    way = next(way for way in load(cluster.lab.yml).ways("chat") if way.into.node == "halo2")
    hold = HOLD.format(address=way.destination, port=PORT, seconds=seconds)
    cluster.lab.ssh(
        "halo2",
        "systemd-run --quiet --unit=hold --collect --property=StartLimitIntervalSec=0 --property=Restart=always "
        f'--property=RestartSec=100ms python3 -c "{hold}"; '
        f"{TAKEN.format(port=PORT, worker=cluster.worker)} || exit 1; "
        f"sleep {seconds}; systemctl stop hold; systemctl reset-failed hold 2>/dev/null || true",
    )


def _model(cluster: Cluster, spoil: str) -> None:
    """And the server is started anew over it; after a while the file is as it was."""
    path = json.loads(cluster.lab.ssh(CONTROLLER, MODEL))
    cluster.lab.ssh(CONTROLLER, f"cp -p --reflink=auto {path} {path}.kept; f={path}; {spoil}")
    try:
        cluster.anew(CONTROLLER)
        time.sleep(8)
    finally:
        cluster.lab.ssh(CONTROLLER, f"mv -f {path}.kept {path}")


MODEL = f"systemctl cat {OURS[0]} | sed -n 's/^ *--model \\([^ ]*\\).*/\"\\1\"/p'"
FLIP = (
    'python3 -c \'import sys; f = open(sys.argv[1], "r+b"); b = bytearray(f.read()); '
    "b[{start}::{stride}] = bytes(x ^ 64 for x in b[{start}::{stride}]); f.seek(0); f.write(b)' $f"
)
"""A bit of every so many bytes: one alone may be of a weight that this question does not need."""


def _piece(cluster: Cluster, spoil: str) -> None:
    """Of the last worker's cache: the output layer, all that the shipped model has above 10 MiB. Both programs are
    started anew over it."""
    cluster.lab.ssh("halo3", f"for f in {cluster.cache}/*; do {spoil}; done")
    cluster.anew("halo3", CONTROLLER)


def _full(cluster: Cluster) -> None:
    """The piece does not fit, is written in half, and found by the next start."""
    cluster.lab.ssh("halo3", f"mount -t tmpfs -o size=8m,mode=777 none {cluster.cache}")
    cluster.anew("halo3", CONTROLLER)
    cluster.answers(60)
    cluster.anew("halo3", CONTROLLER)


def _room_again(cluster: Cluster) -> None:
    cluster.lab.ssh("halo3", f"umount -l {cluster.cache}")


def _another_commit(cluster: Cluster, seconds: float) -> None:
    """A real worker whose hello says the protocol's next major version: what a controller sees of another commit."""
    way = next(way for way in load(cluster.lab.yml).ways("chat") if way.into.node == "halo2")
    script = (Path(__file__).parent / "another_commit.py").read_text()
    worker = f"{BIN}/ggml-rpc-server --host 127.0.0.1 --port 50999"
    cluster.lab.ssh(
        "halo2",
        f"cat >/run/another.py <<'END'\n{script}END\n"
        f"systemctl stop {cluster.worker} 2>/dev/null || true; systemd-run --quiet --collect --unit=another {worker}; "
        f"systemd-run --quiet --collect --unit=between python3 /run/another.py {way.destination} {PORT} 50999",
    )
    try:
        cluster.anew(CONTROLLER)
        time.sleep(seconds)
    finally:
        cluster.lab.ssh(
            "halo2", f"systemctl stop between another; systemctl start {cluster.worker} 2>/dev/null || true"
        )


def _without_its_guard(cluster: Cluster, host: str) -> None:
    cluster.lab.ssh(host, "systemctl kill -s SIGKILL halofleet-guard")
    cluster.signal("STOP", host)


# The vocabulary comes first in the model's file, and is not spoilt.
FLIPPED_WEIGHTS = FLIP.format(start=16_000_000, stride=10_007)
FLIPPED_PIECE = FLIP.format(start=0, stride=10_007)

FROZEN = "its process is stopped (state T): killed; systemd starts it again"
REMOVED = "is not what its name says: removed"

FAULTS = (
    Fault("worker killed while idle", lambda it: it.signal("KILL", "halo2"), said="code=killed, status=9/KILL"),
    Fault(
        "worker killed in the middle of a generation",
        lambda it: it.signal("KILL", "halo2"),
        busy=True,
        said="code=killed, status=6/ABRT",
    ),
    Fault("both workers killed", lambda it: it.signal("KILL", *WORKERS)),
    Fault("worker frozen while idle", lambda it: it.signal("STOP", "halo3"), said=FROZEN),
    Fault("worker frozen in the middle of a generation", lambda it: it.signal("STOP", "halo3"), busy=True, said=FROZEN),
    Fault("server killed", lambda it: it.signal("KILL", CONTROLLER)),
    Fault("server frozen", lambda it: it.signal("STOP", CONTROLLER), said=FROZEN),
    Fault(
        "worker's guard killed, and the worker frozen",
        lambda it: _without_its_guard(it, "halo2"),
        bare=False,
        said=FROZEN,
    ),
    Fault(
        "controller's guard killed, and the server frozen",
        lambda it: _without_its_guard(it, CONTROLLER),
        bare=False,
        said=FROZEN,
    ),
    Fault(
        "RPC port taken by another process for 10 s",
        lambda it: _port_taken(it, 10),
        said="holds; end that, or choose another rpc_port",
    ),
    Fault("link down for 30 s", lambda it: _link_down(it, 30)),
    Fault("link down for 30 s in the middle of a generation", lambda it: _link_down(it, 30), busy=True),
    Fault(
        "worker of another commit for 10 s",
        lambda it: _another_commit(it, 10),
        said="it runs another llama.cpp; cluster.py makes them one",
    ),
    Fault(
        "model file missing when the server starts",
        lambda it: _model(it, "rm $f"),
        said="No such file or directory; put it back",
    ),
    Fault(
        "model file cut short when the server starts",
        lambda it: _model(it, "truncate -s 1000000 $f"),
        said="has 1000000 bytes, and ",
    ),
    Fault(
        "model file with flipped bits when the server starts",
        lambda it: _model(it, FLIPPED_WEIGHTS),
        said="damaged: its sha256 is ",
    ),
    Fault("cache file cut short", lambda it: _piece(it, "truncate -s 5000000 $f"), said=REMOVED),
    Fault("cache file with flipped bits", lambda it: _piece(it, FLIPPED_PIECE), said=REMOVED),
    Fault("cache file empty", lambda it: _piece(it, ": >$f"), said=REMOVED),
    Fault("disk of the cache full", _full, after=_room_again, said="is beyond the bound: removed"),
    Fault(
        "worker's host powered off, and back", lambda it: _off_and_on(it, "halo3"), bare=False, said="waiting for halo3"
    ),
    Fault("controller's host rebooted", lambda it: _rebooted(it, CONTROLLER), bare=False),
    Fault("all hosts rebooted at once", lambda it: _rebooted(it, CONTROLLER, *WORKERS), bare=False),
    Fault(
        "all hosts rebooted, the controller last", lambda it: _rebooted(it, *WORKERS, CONTROLLER, pause=4), bare=False
    ),
    Fault("link missing while the worker boots", _no_address_at_boot, bare=False),
)
