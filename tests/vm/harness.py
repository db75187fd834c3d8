"""Virtual machines on a bridge of their own, as nodes of an inventory pair."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from tests.lab.harness import ROOT, Lab, share_cache
from tests.vm.disk import write
from tests.vm.image import Image
from tests.vm.machine import Machine
from tests.vm.qemu import Nic

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "debugfs": "e2fsprogs",
    "qemu-img": "qemu-utils", "ip": "iproute2", "setpriv": "util-linux", "unshare": "util-linux",
}  # fmt: skip
"""Programs, and the Debian package of each."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

INVENTORY = """\
management: {network}
defaults: {{os: debian-13}}
nodes:
{nodes}
models:
  nonsense: {{random: llama-spm}}
serves:
  chat: {{model: nonsense, controller: {controller}, port: 8080, context: 2048{workers}}}
"""

LINK = """\
links:
  - ethernet: {{{ends}}}
    subnet: 10.112.0.0/24
"""
"""Nobody puts it up: a worker must have a link for the inventory to be one."""


def missing_packages(tools: Mapping[str, str] = TOOLS) -> list[str]:
    missing = {package for tool, package in tools.items() if shutil.which(tool) is None}
    return sorted(missing | (set() if KEYRING.exists() else {"debian-archive-keyring"}))


def impossible() -> str:
    """Why no virtual machine can run here; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "virtual machines are put on a bridge, and that needs root"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is not there (modprobe tun)"
    if os.uname().machine != "x86_64":
        return f"the machines are x86_64, this one is {os.uname().machine}"
    missing = missing_packages()
    if missing and shutil.which("apt-get") is None:
        return f"not installed: {', '.join(missing)} (Debian's names)"
    return ""


def install(packages: Iterable[str]) -> None:
    """With apt."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run([*apt, *command], env=quiet, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"apt-get {' '.join(command)}: {done.stderr[-2000:]}"


@dataclass
class Network:
    """The management network: a bridge of this machine and a tap device for each guest, named after the instance."""

    prefix: str
    """At most 10 characters: interface names have 15."""
    subnet: IPv4Network

    def up(self) -> None:
        self.down()
        _ip("link", "add", f"{self.prefix}br", "type", "bridge")
        _ip("address", "add", f"{self.subnet[1]}/{self.subnet.prefixlen}", "dev", f"{self.prefix}br")
        _ip("link", "set", f"{self.prefix}br", "up")

    def down(self) -> None:
        """Also what a killed run left."""
        found = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
        for link in found:
            if link["ifname"].startswith(self.prefix):
                _ip("link", "del", link["ifname"])

    def nic(self, number: int) -> Nic:
        """The tap device with this number, made where it is not there yet; its guest is subnet[10 + number]."""
        return Nic(self._tap(f"{number}", "br"), f"{self.subnet[10 + number]}/{self.subnet.prefixlen}")

    def wire(self, number: int) -> str:
        """The tap device of a guest's port for links: a switch of their own, of which this machine is no part."""
        switch = f"{self.prefix}sw"
        if not Path("/sys/class/net", switch).exists():
            _ip("link", "add", switch, "type", "bridge")
            _ip("link", "set", switch, "addrgenmode", "none", "up")
        return self._tap(f"w{number}", "sw")

    def _tap(self, name: str, bridge: str) -> str:
        tap = f"{self.prefix}{name}"
        if not Path("/sys/class/net", tap).exists():
            _ip("tuntap", "add", "dev", tap, "mode", "tap")
            _ip("link", "set", tap, "master", f"{self.prefix}{bridge}", "up")
        return tap


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


@dataclass
class Machines:
    """All that one test run has of virtual machines."""

    instance: str
    image: Image
    network: Network
    home: Path
    made: dict[str, Machine] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def up(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AssertionError(f"another run has these virtual machines ({self.home})") from None
        shutil.rmtree(self.home / "machines", ignore_errors=True)
        share_cache(self.home)
        self.network.up()

    def down(self) -> None:
        for name in [*self.made]:
            self.remove(name)
        self.network.down()
        self._lock.close()

    def make(
        self,
        name: str,
        *,
        memory: int = 512,
        image: Image | None = None,
        direct: bool = False,
        wired: bool = False,
    ) -> Machine:
        """A fresh one, switched off. A name keeps its address for the whole run; `memory`: MiB. direct: see Machine.
        wired: it has a port for links, on one switch with all that have."""
        assert name not in self.made, f"{name} is there already"
        number = self._numbers.setdefault(name, len(self._numbers) + 1)
        image = image or self.image
        folder = image.machine(self.home / "machines" / name)
        nic, wire = self.network.nic(number), self.network.wire(number) if wired else ""
        machine = Machine(
            name, folder, image.key, image.host_key, nic, memory, passphrase=image.passphrase, direct=direct, wire=wire
        )
        if image.labelled:  # Debian's policy keeps PID 1's credentials from those that would read them
            write(machine.disk, "/etc/hostname", f"{name}\n", "net_conf_t")
            write(machine.disk, "/etc/systemd/network/10-management.network", nic.network, "net_conf_t")
        self.made[name] = machine
        return machine

    def remove(self, name: str) -> None:
        """It and its disk; the console's log stays until the next run."""
        machine = self.made.pop(name)
        machine.kill()
        machine.disk.unlink()

    def lab(self, folder: Path, controller: Machine, *workers: Machine) -> Lab:
        """An inventory pair of them in this folder, called test, with their host keys known already."""
        machines = (controller, *workers)
        lab = Lab(folder, self.instance, {machine.name: machine.address for machine in machines})
        nodes = "\n".join(
            f"  {machine.name}: {{id: {number}, address: {machine.address}, ssh: {{key: {machine.key}}}}}"
            for number, machine in enumerate(machines, start=1)
        )
        text = INVENTORY.format(
            network=self.network.subnet,
            nodes=nodes,
            controller=controller.name,
            workers=f", workers: [{', '.join(machine.name for machine in workers)}]" if workers else "",
        )
        if workers:
            text += LINK.format(ends=", ".join(f"{machine.name}: absent0" for machine in machines))
        lab.yml.write_text(text)
        lab.inventory.write_text((ROOT / "inventory/lab.py").read_text())
        state = lab.home() / "labs/test"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(mode=0o700, parents=True)
        (state / "known_hosts").write_text("".join(f"{m.address} {m.host_key}\n" for m in machines))
        (state / "id_ed25519").symlink_to(controller.key)  # where Lab.ssh() looks for it
        return lab
