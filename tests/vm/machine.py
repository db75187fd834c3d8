"""A virtual machine with a disk of its own. Who watches it starts QEMU again when the guest reboots."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from paramiko import SSHClient, SSHException
from paramiko.hostkeys import HostKeyEntry

from tests.vm.disk import direct, read
from tests.vm.menu import Menu, Prompt, entries, path_to
from tests.vm.qemu import CrashError, Hardware, Nic, Qemu

BOOT_SECONDS = 600
"""Software emulation beside other work: a boot takes 20 to 60 s alone."""
PANIC = b"end Kernel panic"
"""The last of it. Nothing comes after that."""


@dataclass
class Machine:
    name: str
    folder: Path
    key: Path
    host_key: str
    """`ssh-ed25519 AAAA...`: the guest's own."""
    nic: Nic | None = None
    memory: int = 512
    units: Mapping[str, str] = field(default_factory=dict)
    passphrase: str = ""
    """Typed whenever the guest asks for one."""
    direct: bool = False
    """Booted by QEMU itself, past the boot loader."""
    wire: str = ""
    wire_mac: str = ""
    plugged: bool = True
    """See Hardware."""
    boots: int = 0
    """How often QEMU was started."""
    crashes: int = 0
    failure: str = ""
    _watcher: threading.Thread | None = None
    _qemu: Qemu | None = None
    _cut: bool = False
    _entry: str | None = None
    _boot_begin: int = 0

    @property
    def disk(self) -> Path:
        return self.folder / "disk.raw"

    @property
    def console(self) -> Path:
        """All that came over the serial line, of all boots."""
        return self.folder / "console.log"

    @property
    def shown(self) -> bytes:
        """This boot's part of the console."""
        return self.console.read_bytes()[self._boot_begin :]

    @property
    def address(self) -> str:
        assert self.nic is not None, f"{self.name} has no address"
        return self.nic.address.split("/")[0]

    @property
    def running(self) -> bool:
        return self._watcher is not None and self._watcher.is_alive()

    # --- power

    def start(self, *, entry: str | None = None) -> str:
        """Switches it on and waits until SSH answers; the boot's id. `entry`: see choose()."""
        self.power_on(entry=entry)
        return self.wait_up()

    def power_on(self, *, entry: str | None = None) -> None:
        assert not self.running, f"{self.name} is on"
        if entry is not None:
            self.choose(entry)
        self.failure, self._cut = "", False
        self._boot_begin = self.console.stat().st_size if self.console.exists() else 0
        self._watcher = threading.Thread(target=self._watch, name=self.name, daemon=True)
        self._watcher.start()

    def kill(self) -> None:
        """The power cord. What the guest had written stays on the disk."""
        self._cut = True
        if self._qemu is not None:
            self._qemu.kill()
        self.wait_off(30)

    def stop(self) -> None:
        """A clean shutdown."""
        self.ssh("systemctl poweroff")
        self.wait_off()

    def reboot(self, *, entry: str | None = None) -> str:
        """From inside, and waits for the next boot's id."""
        if entry is not None:
            self.choose(entry)
        before = self.boot_id()
        self.ssh("systemctl reboot")
        return self.wait_up(before)

    def plug(self, plugged: bool) -> None:
        """The cable at its port for links, in or out: now, and at every start from now on."""
        self.plugged = plugged
        if self._qemu is not None and self.running:
            self._qemu.plug(plugged)

    def choose(self, entry: str) -> None:
        """At the next boot this entry of GRUB's menu is taken, by keys on the serial line: its title, or those of its
        submenus and its own, joined by `>`."""
        self._entry = entry

    def wait_off(self, seconds: float = BOOT_SECONDS) -> None:
        if self._watcher is not None:
            self._watcher.join(seconds)
            assert not self._watcher.is_alive(), f"{self.name} is still on after {seconds} s\n{self.tail()}"

    def wait_up(self, before: str | None = None, seconds: float = BOOT_SECONDS) -> str:
        """Until SSH answers in another boot than `before`; its id."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, SSHException, EOFError):
                if (found := self.boot_id()) != before:
                    return found
            assert self.running, f"{self.name} is off: {self.failure}\n{self.tail()}"
            assert PANIC not in self.shown, f"{self.name}: {self.tail()}"
            time.sleep(0.5)
        raise AssertionError(f"{self.name} does not answer after {seconds} s\n{self.tail()}")

    def wait_console(self, text: str, seconds: float = BOOT_SECONDS) -> None:
        """Until this boot's console has shown it."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.shown:
            assert self.running, f"{self.name} is off: {self.failure}\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} did not say {text!r} in {seconds} s\n{self.tail()}"
            time.sleep(0.2)

    def tail(self, lines: int = 40) -> str:
        """The end of the console."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _watch(self) -> None:
        try:
            while self._ran():
                pass
        except Exception as error:  # a thread has nobody else to tell
            self.failure = f"{type(error).__name__}: {error}"

    def _ran(self) -> bool:
        """To its end; whether it is to be started again. A crash of QEMU's is a power cut, once."""
        try:
            return self._run() == "guest-reset" and not self._cut
        except CrashError:
            self.crashes += 1
            if self.crashes > 1:
                raise
            return True

    def _run(self) -> str:
        """QEMU once, to its end."""
        menu = Menu(path_to(self._entry, self.menu()) if self._entry else [])
        self._entry = None
        lock = Prompt("Please unlock disk", self.passphrase)
        with self.console.open("ab") as console:

            def drawn(data: bytes) -> bytes:
                console.write(data)
                console.flush()
                return menu.keys(data) + lock.keys(data)

            self._boot_begin = console.tell()
            loaded = direct(self.disk, self.folder) if self.direct else None
            hardware = Hardware(
                self.name, self.disk, self.memory, self.nic, self.units, loaded, self.wire, self.wire_mac, self.plugged
            )  # fmt: skip
            self._qemu = Qemu(hardware, self.folder / "qemu.log")
            self.boots += 1
            if self._cut:
                self._qemu.kill()
            return self._qemu.attend(drawn)

    # --- inside

    def boot_id(self) -> str:
        return self.ssh("cat /proc/sys/kernel/random/boot_id").strip()

    def ssh(self, script: str, *, seconds: float = 900) -> str:
        """A connection of its own, not the connector that is tested. Raises AssertionError where the script fails, and
        EOFError where the connection ends before it."""
        with self._client() as client:
            _, out, err = client.exec_command(script, timeout=seconds)
            text, errors = out.read().decode(), err.read().decode()
            status = out.channel.recv_exit_status()
            if status < 0:
                raise EOFError(f"{self.name}: the connection ended: {script}")
            assert status == 0, f"{self.name}: {script}: exit {status}: {errors or text}"
            return text

    @contextmanager
    def _client(self) -> Iterator[SSHClient]:
        with SSHClient() as client:
            entry = HostKeyEntry.from_line(f"{self.address} {self.host_key}")
            assert entry is not None
            client.get_host_keys().add(self.address, entry.key.get_name(), entry.key)
            client.connect(
                self.address, username="root", key_filename=str(self.key), allow_agent=False, look_for_keys=False,
                timeout=30, banner_timeout=30, auth_timeout=60,  # the first one bounds the key exchange too
            )  # fmt: skip
            yield client

    def menu(self) -> dict[str, list[int]]:
        """The entries that GRUB will offer: see menu.entries()."""
        return entries(read(self.disk, "/boot/grub/grub.cfg") or "", read(self.disk, "/boot/grub/custom.cfg") or "")
