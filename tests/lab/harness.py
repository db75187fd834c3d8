"""A lab of its own for the tests: other names and ranges than the shipped one, the same caches."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from paramiko import SSHClient

from inventory.spec import home, load

ROOT = Path(__file__).parents[2]
PYINFRA = [str(Path(sys.executable).with_name("pyinfra"))]
RUN_SECONDS = 1500


def free_network(prefix: int, taken: list[IPv4Network], near: str = "") -> IPv4Network:
    """A range below 10.96.0.0/12 that no route of this machine touches. near: a lab's name. Every lab of every checkout
    looks from another place on: the route is there only once the hosts are up, and another one may be looking at the
    same moment. The upper half is for links, which no other lab's management network may lie in."""
    used = [*taken, *(network for network in routes() if network.prefixlen)]
    lower, upper = IPv4Network("10.96.0.0/12").subnets(1)
    candidates = list((upper if prefix == 16 else lower).subnets(new_prefix=prefix))
    first = int(hashlib.sha256(f"{ROOT} {near}".encode()).hexdigest(), 16) % len(candidates)
    for candidate in candidates[first:] + candidates[:first]:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise RuntimeError("no free range below 10.96.0.0/12")


def routes() -> list[IPv4Network]:
    """proc(5), /proc/net/route: destination and mask are hexadecimal, in the machine's byte order."""
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    words = [[int(row[column], 16).to_bytes(4, sys.byteorder) for column in (1, 7)] for row in rows]
    return [IPv4Network((IPv4Address(address), str(IPv4Address(mask)))) for address, mask in words]


@dataclass
class Run:
    """How a pyinfra run ended. commands: remote commands by host, as the connector counted them."""

    status: int
    out: str
    err: str
    commands: Counter[str] = field(default_factory=Counter)

    @property
    def totals(self) -> dict[str, Any]:
        """results.totals of --json."""
        totals: dict[str, Any] = json.loads(self.out)["results"]["totals"]
        return totals

    def ok(self) -> Run:
        assert self.status == 0, f"exit {self.status}\n{self.out[-2000:]}\n{self.err[-9000:]}"
        return self


@dataclass
class Lab:
    """An inventory pair in a folder, and the means to run verbs on it and to look at its hosts."""

    folder: Path
    instance: str
    addresses: dict[str, str]

    @property
    def inventory(self) -> Path:
        return self.folder / "test.py"

    @property
    def yml(self) -> Path:
        return self.folder / "test.yml"

    def environment(self, **more: str) -> dict[str, str]:
        own = {"HALOFLEET_LAB": self.instance, "HALOFLEET_HOME": str(self.home()), "PYINFRA_PROGRESS": "off"}
        return {**os.environ, **own, **more}

    def pyinfra(self, *arguments: str, trace: Path | None = None, **environment: str) -> Run:
        if trace is not None:
            trace.unlink(missing_ok=True)
            environment["HALOFLEET_TRACE"] = str(trace)
        done = subprocess.run(
            [*PYINFRA, *arguments],
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=RUN_SECONDS,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, Counter(line["host"] for line in begun(trace)))

    def up(self) -> Run:
        return self.pyinfra("-y", "@local", "deploys/virtual_lab.py", "--data", f"lab={self.yml}")

    def down(self) -> Run:
        return self.pyinfra("-y", "@local", "deploys/virtual_lab_down.py")

    def cluster(self, *flags: str, trace: Path | None = None, **environment: str) -> Run:
        return self.pyinfra("-y", *flags, str(self.inventory), "deploys/cluster.py", trace=trace, **environment)

    def home(self) -> Path:
        """Of this checkout's tests alone, and the same at every run, so that a killed one can be tidied up."""
        return home.home() / "tests" / self.instance

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """The same, left running."""
        return subprocess.Popen(
            [*PYINFRA, *arguments],
            cwd=ROOT,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def connect(self, host: str, seconds: float = 10) -> SSHClient:
        """A connection of its own, not the connector that is tested; the host must be the one of known_hosts."""
        labs = self.home() / "labs/test"
        client = SSHClient()
        client.load_host_keys(str(labs / "known_hosts"))
        client.connect(
            self.addresses[host],
            username="root",
            key_filename=str(labs / "id_ed25519"),
            allow_agent=False,
            timeout=seconds,
            banner_timeout=seconds,
            auth_timeout=seconds,
        )
        return client

    def ssh(self, host: str, script: str) -> str:
        """What it says. Raises AssertionError where it fails, and EOFError where the connection ends before it."""
        with self.connect(host) as client:
            _, out, err = client.exec_command(script, timeout=120)
            text, errors = out.read().decode(), err.read().decode()
            status = out.channel.recv_exit_status()
            if status < 0:
                raise EOFError(f"{host}: the connection ended: {script}")
            assert status == 0, f"{host}: {script}: {errors}"
            return text

    def wait_until_gone(self, host: str) -> None:
        """Until nobody listens on its SSH port."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.addresses[host], 22), 1).close()
            except OSError:
                return
            time.sleep(0.2)
        raise AssertionError(f"{host} still answers")

    def fingerprint(self) -> dict[str, str]:
        """Per host, a digest of /etc, /opt and the units with their InvocationIDs."""
        script = (
            "{ find /etc /opt -xdev \\( -type f -o -type l -o -type d \\) ! -name .updated "
            "-printf '%p %y %m %u %g %l %T@\\n' | sort; "
            "find /etc /opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum; "
            "systemctl list-unit-files --no-legend --no-pager 'halofleet-*' ssh.service systemd-networkd.service; "
            "systemctl show -p Id -p InvocationID 'halofleet-*' ssh.service systemd-networkd.service; } | sha256sum"
        )
        return {host: self.ssh(host, script) for host in self.addresses}


def begun(trace: Path | None) -> list[dict[str, Any]]:
    """The remote commands of a trace."""
    lines = trace.read_text().splitlines() if trace is not None and trace.exists() else []
    return [line for line in map(json.loads, lines) if "command" in line]


def under_way(trace: Path) -> bool:
    """Whether the run that wrote this trace was stopped in the middle of a remote command."""
    lines = trace.read_text().splitlines() if trace.exists() else []
    return 2 * len(begun(trace)) > len(lines)


def share_cache(own: Path) -> None:
    """A state folder of its own, the caches of all."""
    if not (own / "cache").exists():
        home.home().joinpath("cache").mkdir(exist_ok=True)
        (own / "cache").symlink_to(home.home() / "cache")


def make_lab(folder: Path, instance: str) -> Lab:
    """The shipped pair, under the name `test`, with ranges that are free on this machine."""
    lab = Lab(folder, instance, {})
    lab.home().mkdir(parents=True, exist_ok=True)
    share_cache(lab.home())
    management = free_network(24, [], instance)
    links = free_network(16, [management], instance)
    text = (ROOT / "inventory/lab.yml").read_text()
    text = text.replace("10.43.0.", f"{management.network_address}".rsplit(".", 1)[0] + ".")
    text = text.replace("10.44.0.0/16", str(links))
    lab.yml.write_text(text)
    lab.inventory.write_text((ROOT / "inventory/lab.py").read_text())
    lab.addresses |= {name: str(node.address) for name, node in load(lab.yml).nodes.items()}
    return lab


def own_releases(own: Path) -> Path:
    """A cache whose releases are this lab's alone; all else of it is shared. The folder of the releases."""
    cache, shared = own / "cache", home.home() / "cache"
    if cache.is_symlink():
        cache.unlink()
    for name in ("images", "models", "sources"):
        (shared / name).mkdir(parents=True, exist_ok=True)
        cache.mkdir(exist_ok=True)
        if not (cache / name).exists():
            (cache / name).symlink_to(shared / name)
    (cache / "releases").mkdir(exist_ok=True)
    return cache / "releases"


def lend_release(artifact: Path, manifest: dict[str, Any], to: Path) -> None:
    """The same binaries as another platform's release: what was compiled on the older system runs on the newer one.

    Only its release.json differs, and the sums with it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(artifact) as tar:
            tar.extractall(folder, filter="data")
        note = json.loads((folder / "release.json").read_text()) | manifest
        (folder / "release.json").write_text(json.dumps(note, indent=2, sort_keys=True) + "\n")
        digest = hashlib.sha256((folder / "release.json").read_bytes()).hexdigest()
        sums = (folder / "SHA256SUMS").read_text()
        (folder / "SHA256SUMS").write_text(re.sub(r"(?m)^[0-9a-f]{64}(?=  release\.json$)", digest, sums))
        folder.chmod(0o755)  # a temporary folder is nobody else's to read, and this mode is packed too
        with tarfile.open(to, "w:gz") as tar:
            tar.add(folder, ".")
    to.with_suffix(".gz.sha256").write_text(hashlib.sha256(to.read_bytes()).hexdigest())
