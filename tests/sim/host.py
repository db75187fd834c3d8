"""A simulated host: real shell and files below a fake root, and a model of the system around them.

What a fresh host is, is in flavours.py; whatever is not modelled raises NotModelled.
"""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sim.boot import Boot
from tests.sim.build import Build
from tests.sim.files import Files, copy_tree, inodes
from tests.sim.flavours import NETWORK_MANAGER, NETWORKD, Flavour
from tests.sim.gpu import Gpu
from tests.sim.neighbours import Firewalld, Ufw
from tests.sim.network import Network
from tests.sim.network_manager import NetworkManager
from tests.sim.networkd import Networkd
from tests.sim.nftables import Nftables
from tests.sim.packages import Packages
from tests.sim.programs import OPTIONAL, REAL, STUB, real
from tests.sim.shell import STAT, Call, NotModelled, Reply, Shell
from tests.sim.sockets import Sockets
from tests.sim.state import State
from tests.sim.sysctl import Sysctl
from tests.sim.systemd import Systemd
from tests.sim.tuned import SERVICE as TUNED
from tests.sim.tuned import Tuned
from tests.sim.udev import Udev
from tests.sim.wires import Wires

FIREWALLD = "firewalld.service"
UP_SECONDS = 3600
COPIED = {
    "gpu": ("web", "signer", "card", "kept"),
    "boot": ("memory", "card", "chain", "installed", "turns", "down"),
    "network": ("addresses", "mtus", "macs", "down", "routes"),
    "udev": ("cards", "modules", "daemon", "names_what_is_up"),
    "networkd": ("known", "times", "own", "waiting"),
    "network_manager": ("known", "used", "conf"),
    "nftables": ("tables",),
    "firewalld": ("runs", "now", "broken"),
    "ufw": ("loaded",),
    "tuned": ("version", "running", "original"),
    "systemd": ("vendor", "enabled", "units", "timers", "counter"),
}
"""What a clone has of each model."""


class SimHost(State):
    """base: an empty folder. interfaces: the ends of cables, plugged in and without addresses.

    tree: of another host, to be copied; a fresh one without it.
    """

    def __init__(
        self,
        base: Path,
        flavour: Flavour,
        *,
        interfaces: tuple[str, ...] = (),
        address: str = "10.43.0.11",
        login: str = "root",
        arch: str = "x86_64",
        tree: Path | None = None,
    ) -> None:
        self.root, self.flavour, self.arch, self.login = base / "tree", flavour, arch, login
        self.interfaces, self.address = interfaces, address
        work = base / "work"
        (work / "bin").mkdir(parents=True)
        self.stub = work / "stub"
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        self.shell = Shell(self.root, work, self.answer, login)
        if tree:
            copy_tree(tree, self.root)
        else:
            self._fresh_tree()
        self.files = Files(self.root, login)
        self.network = Network(self.root, interfaces, address)
        self.wires = Wires(self.network)
        self.networkd = Networkd(self.root, self.network)
        self.network_manager = NetworkManager(self.root, self.network)
        self.sysctl = Sysctl(self.root, self.network)
        self.udev = Udev(self.root, self.network, self.networkd, self.network_manager)
        if not tree:
            self.udev.start(daemon="udevadm" in flavour.programs)
        self.nftables = Nftables(self.root)
        self.firewalld, self.ufw = Firewalld(self.root), Ufw(self.root)
        self.tuned = Tuned(self.root)
        if not tree:
            self.tuned.power_on()
        self.systemd = Systemd(self.root, self.shell, self._started, self.tuned.stopped)
        self.packages = Packages(flavour, self._arrived, self._gone)
        self.gpu = Gpu(self.root, self.files, self.packages)
        self.packages.offers, self.packages.refresh = self.gpu.offers, self.gpu.refresh
        self.packages.unsigned = self.gpu.unsigned
        self.sockets = Sockets(self.systemd)
        self.boot = Boot(self.root, self.shell)
        self.build = Build(self.root)
        self.sessions = 0
        self.free = 78567
        self.inhibitors: list[str] = []
        """As `systemd-inhibit --list` says them."""
        self.programs: dict[str, Callable[[Call], Reply]] = {
            "stat": self.files.stat,
            "chown": self.files.chown,
            "getent": self.files.getent,
            "id": self.files.id,
            "useradd": self.files.useradd,
            "usermod": self.files.usermod,
            "gpasswd": self.files.gpasswd,
            "runuser": self.gpu.runuser,
            "rpmkeys": self.gpu.rpmkeys,
            "restorecon": self.files.restorecon,
            "apt-get": self.packages.apt_get,
            "dpkg": self.packages.dpkg,
            "dpkg-query": self.packages.dpkg_query,
            "dnf": self.packages.dnf,
            "rpm": self.packages.rpm,
            "ip": self._ip,
            "udevadm": self.udev.udevadm,
            "modprobe": self.udev.modprobe,
            "ping": self.wires.ping,
            "arping": self.wires.arping,
            "nmcli": self.network_manager.nmcli,
            "sysctl": self.sysctl.sysctl,
            "nft": self.nftables.nft,
            "firewall-cmd": self.firewalld.firewall_cmd,
            "busctl": self.firewalld.busctl,
            "ufw": self.ufw.ufw,
            "iptables": self.ufw.iptables,
            "ss": self.sockets.ss,
            "tuned-adm": self.tuned.adm,
            "journalctl": self.sockets.journalctl,
            "systemctl": self.systemd.systemctl,
            "systemd-run": self.systemd.systemd_run,
            "cc": self.build.cc,
            "cmake": self.build.cmake,
            "ninja": self.build.ninja,
            "update-grub": self.boot.update_grub,
            "grubby": self.boot.grubby,
            "update-initramfs": self.boot.update_initramfs,
            "dracut": self.boot.dracut,
            "lsinitramfs": self.boot.lsinitrd,
            "lsinitrd": self.boot.lsinitrd,
            "findmnt": self.boot.findmnt,
            "lsblk": self.boot.lsblk,
            "clevis": self.boot.clevis,
            "strip": lambda _: Reply(),
            "lastlog": lambda call: Reply(stdout=f"{call.words[-1]}  **Never logged in**\n"),
            "df": self._df,
            "uname": self._uname,
            "sleep": lambda _: Reply(),
            "systemd-inhibit": lambda _: Reply("".join(f"{line}\n" for line in self.inhibitors)),
        }
        for name in flavour.programs:
            self._put_program(name)
        if "python3" in flavour.installed:
            self._put_python()
        self.systemd.install(flavour.enabled, flavour.disabled)

    def _fresh_tree(self) -> None:
        name, _, version = self.flavour.os.partition("-")
        for folder in (
            "etc/systemd/system",
            "etc/systemd/network",
            "etc/sysctl.d",
            "etc/modules-load.d",
            "opt",
            "proc",
            "root",
            "run/systemd/system",
        ):
            (self.root / folder).mkdir(parents=True)
        own = {
            "apt": ("apt/keyrings", "apt/sources.list.d", "apt/preferences.d"),
            "dnf": ("yum.repos.d", "pki/rpm-gpg"),
        }
        for folder in own[self.flavour.tool]:
            (self.root / "etc" / folder).mkdir(parents=True)
        for folder in ("var/lib", "dev", "sys"):
            (self.root / folder).mkdir(parents=True)
        if NETWORK_MANAGER in self.flavour.enabled:
            for folder in ("conf.d", "system-connections"):
                (self.root / "etc/NetworkManager" / folder).mkdir(parents=True)
        self._boots()
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (self.root / "etc/os-release").write_text(f'ID={name}\nVERSION_ID="{version}"\n')
        people = ["root:x:0:0:root:/root:/bin/bash\n"]
        groups = ["root:x:0:\n", "video:x:44:\n", "render:x:992:\n"]  # of base-passwd and udev; Fedora's have other ids
        if self.login != "root":
            people.append(f"{self.login}:x:1000:1000::/home/{self.login}:/bin/bash\n")
            groups.append(f"{self.login}:x:1000:\n")
        (self.root / "etc/passwd").write_text("".join(people))
        (self.root / "etc/group").write_text("".join(groups))
        # Fixed, so that two hosts that go through the same end with the same keys.
        (self.root / "dev/urandom").write_bytes(hashlib.sha512(b"entropy").digest())

    def _boots(self) -> None:
        """PID 1 of a container, on a machine that has been up for an hour."""
        (self.root / "proc/1").mkdir()
        (self.root / "proc/stat").write_text(f"cpu  1 0 1 9 0 0 0 0 0 0\nbtime {int(time.time()) - UP_SECONDS}\n")
        stat = STAT.format(pid=1, comm="systemd", parent=0, start=UP_SECONDS * os.sysconf("SC_CLK_TCK"))
        (self.root / "proc/1/stat").write_text(stat)

    def reboot(self) -> None:
        """Nothing of /run, of processes and of the kernel's tables is left; what is enabled starts."""
        self.systemd.shut_down()
        for folder in ("proc", "run"):
            shutil.rmtree(self.root / folder)
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "proc").mkdir()
        self._boots()
        self.tuned.power_on()
        for model in (self.network, self.networkd, self.network_manager, self.udev, self.sysctl):
            model.boot()
        self.nftables.tables.clear()
        self.systemd.boot()
        self.boot.power_on()

    def give_kernel(self, loader: str, **values: Any) -> None:
        """A kernel of its own, and what boots it: `grub`, `grubby`, or anything else for nothing that is known."""
        for name in self.boot.install(loader, self.flavour.os, **values):
            self._put_program(name)

    def give_firewall(self, name: str) -> None:
        """One of the distribution's own that runs: `firewalld` or `ufw`."""
        for program in {"firewalld": ("firewall-cmd", "busctl"), "ufw": ("ufw", "iptables")}[name]:
            self._put_program(program)
        if name == "ufw":
            self.ufw.install()
        else:
            (self.root / "etc/firewalld/policies").mkdir(parents=True)
            self.systemd.install(frozenset({FIREWALLD}), frozenset())

    def _put_program(self, name: str) -> None:
        assert name in OPTIONAL
        link = self.shell.work / "bin" / name
        if not link.exists():
            link.symlink_to(real(name) if name in REAL else self.stub)

    def _put_python(self) -> None:
        """Where units have it from; what runs is not modelled."""
        target = self.files.real("/usr/bin/python3")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("")
        target.chmod(0o755)

    def _arrived(self, package: str) -> None:
        programs, enabled, disabled = self.flavour.brings[package]
        if TUNED in enabled | disabled:
            self.tuned.arrives()
        for program in programs:
            self._put_program(program)
        if package == "python3":
            self._put_python()
        self.systemd.install(enabled, disabled)

        for path in self.gpu.BRINGS.get(package, ()):
            target = self.files.real(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("")
            target.chmod(0o755)

    def _gone(self, package: str) -> None:
        for program in self.flavour.brings[package][0]:
            (self.shell.work / "bin" / program).unlink()
        for path in self.gpu.BRINGS.get(package, ()):
            target = self.files.real(path)
            target.unlink()
            for folder in target.parents:
                if any(folder.iterdir()) or folder == self.root / "opt":
                    break
                folder.rmdir()

    def _started(self, unit: str) -> None:
        if unit == NETWORKD:
            self.networkd.reload()
        if unit == FIREWALLD:
            self.firewalld.load()
        if unit == NETWORK_MANAGER:
            self.network_manager.start()
        self.tuned.started(unit)

    def clone(self, base: Path) -> SimHost:
        """The same host once more, in another empty folder."""
        other = SimHost(
            base,
            self.flavour,
            interfaces=self.interfaces,
            address=self.address,
            login=self.login,
            arch=self.arch,
            tree=self.root,
        )
        for name in (link.name for link in (self.shell.work / "bin").iterdir()):
            other._put_program(name)
        other.packages.installed = set(self.packages.installed)
        for name, keys in COPIED.items():
            for key in keys:
                setattr(getattr(other, name), key, copy.deepcopy(getattr(getattr(self, name), key)))
        for path, seen in inodes(self.root):
            if owner := self.files.owners.get(seen.st_ino):
                other.files.owners[(other.root / path[len(f"{self.root}/") :]).lstat().st_ino] = owner
        other.files.relabelled = set(self.files.relabelled)
        other.sessions = self.sessions
        return other

    # --- what a connector does

    def connect(self) -> None:
        """A new SSH session: a process of its own, as preflight's lock wants it."""
        self.sessions += 1
        self.shell.session = 8_000_000 + self.sessions
        entry = self.root / f"proc/{self.shell.session}"
        entry.mkdir()
        (entry / "comm").write_text("sshd-session\n")
        client = self.network.management.network.network_address + 1
        (entry / "environ").write_text(f"LANG=C.UTF-8\0SSH_CLIENT={client} 51000 22\0")
        stat = STAT.format(pid=self.shell.session, comm="sshd-session", parent=70, start=self.sessions)
        (entry / "stat").write_text(stat)

    def disconnect(self) -> None:
        """The session's process ends with it."""
        shutil.rmtree(self.root / f"proc/{self.shell.session}", ignore_errors=True)

    def answers(self) -> bool:
        """Whether a new SSH connection comes through; one that is open lives on."""
        there = f"{self.address}/24" in self.network.addresses["host0"]
        return there and not any("tcp dport 22 drop" in table for table in self.nftables.tables.values())

    def execute(self, command: str, stdin: bytes = b"") -> Reply:
        """Runs a remote command as the login user."""
        reply = self.shell.run(command, stdin)
        if self.boot.down:
            self.boot.down = False
            self.reboot()
        self.files.forget_the_gone()
        self.systemd.notice_replaced()
        return reply

    def answer(self, call: Call) -> Reply:
        if call.program == "systemctl" and call.words == ("reboot",):
            self.boot.down = True  # it goes down when this command has ended
            return Reply()
        program = self.programs.get(call.program)
        if program is None:
            raise NotModelled(call)
        if call.user != "root" and call.program != "id":
            raise NotModelled(f"without sudo: {call}")
        return program(call)

    # --- what tests do and look at

    def replace_program(self, unit: str) -> None:
        """As when a release is unpacked once more: the same bytes under the same name, in another file."""
        program = (self.root / f"proc/{self.systemd.units[unit].pid}/exe").readlink()
        path = self.files.real(str(program))
        part = path.with_name("part")
        shutil.copy2(path, part)
        part.replace(path)
        self.systemd.notice_replaced()

    def text(self, path: str) -> str:
        """A file of the host."""
        return self.files.real(path).read_text()

    def _df(self, call: Call) -> Reply:
        match call.words:
            case ["--output=avail", "-B1048576", "/var/lib"]:
                return Reply(f"Avail\n{self.free:>5}\n")
            case ["--output=avail", "-B1", "/var/lib/halofleet/incoming"]:
                return Reply(f"Avail\n{self.free << 20}\n")
            case ["--output=avail", "-B1048576", "/boot"]:
                return Reply(f"Avail\n{self.boot.room:>5}\n")
        raise NotModelled(call)

    def _ip(self, call: Call) -> Reply:
        return self.udev.set_link(call) if call.words[:2] == ("link", "set") else self.network.ip(call)

    def _uname(self, call: Call) -> Reply:
        release = self.root / "proc/sys/kernel/osrelease"
        known = {
            "-m": f"{self.arch}\n",
            "-s": "Linux\n",
            "-n": "halo\n",
            "-r": release.read_text() if release.exists() else "6.12.48+deb13-amd64\n",  # trixie's
        }
        return Reply("".join(known[word] for word in call.words))
