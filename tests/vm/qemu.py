"""One run of QEMU: the hardware that the guest sees, its serial line, and why it ended."""

from __future__ import annotations

import base64
import hashlib
import json
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WIRED = "enp0s16"
"""systemd.net-naming-scheme(7): slot 0x10 of the first bus."""


@dataclass(frozen=True)
class Nic:
    """A tap device of this machine, and the address that the guest has behind it (with its prefix length)."""

    tap: str
    address: str

    @property
    def mac(self) -> str:
        return "52:54:" + ":".join(f"{octet:02x}" for octet in socket.inet_aton(self.address.split("/")[0]))

    @property
    def network(self) -> str:
        """systemd.network(5) for the guest."""
        lines = ("[Match]", f"MACAddress={self.mac}", "[Network]", f"Address={self.address}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Direct:
    """What QEMU boots itself, past the boot loader, as a hypervisor or a net boot does it."""

    kernel: Path
    initramfs: Path
    arguments: str


@dataclass(frozen=True)
class Hardware:
    name: str
    disk: Path
    memory: int
    """MiB."""
    nic: Nic | None = None
    """Left out: no network at all. With it there is a second interface too, which leads out by QEMU's own NAT."""
    units: Mapping[str, str] = field(default_factory=dict)
    """systemd units that the guest finds at every boot, by name; multi-user.target wants them."""
    direct: Direct | None = None
    wire: str = ""
    """A tap device behind the guest's port for links, if it has one: WIRED is its name there."""
    wire_mac: str = ""
    """That port's; empty for one of its own."""
    plugged: bool = True
    """There is a cable in that port: it has a carrier."""

    def command(self, control: int, serial: int) -> list[str]:
        """QEMU's command line, with sockets for QMP and the serial line.

        No reset inside QEMU: ending and starting it again is 100 s faster under software emulation. One processor: of
        two, one has run code that the other one was patching (`Oops: int3` in sched_clock_cpu, while it booted), and a
        guest seldom keeps the second busy.
        """
        command = [
            "qemu-system-x86_64", "-name", self.name, "-no-reboot", "-nodefaults", "-no-user-config",
            "-display", "none", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1",
            "-m", str(self.memory), "-drive", f"file={self.disk},if=virtio,format=raw,cache=unsafe",
            "-device", "virtio-rng-pci",
            "-device", "bochs-display",  # its driver brings ttm's memory manager up, as amdgpu does
            "-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control",
            "-chardev", f"socket,id=serial,fd={serial}", "-serial", "chardev:serial",
        ]  # fmt: skip
        if self.nic is not None:
            command += [
                "-netdev", f"tap,id=lan,ifname={self.nic.tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=lan,mac={self.nic.mac},romfile=",
                "-netdev", "user,id=outside", "-device", "virtio-net-pci,netdev=outside,romfile=",
            ]  # fmt: skip
        if self.direct is not None:
            command += ["-kernel", str(self.direct.kernel), "-initrd", str(self.direct.initramfs)]
            command += ["-append", self.direct.arguments]
        if self.wire:
            mac = (
                self.wire_mac
                or f"52:54:01{''.join(f':{octet:02x}' for octet in hashlib.sha256(self.wire.encode()).digest()[:3])}"
            )
            command += [
                "-netdev", f"tap,id=wire,ifname={self.wire},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=wire,mac={mac},romfile=,addr=0x10",
            ]  # fmt: skip
        for name, value in self._credentials().items():
            text = base64.b64encode(value.encode()).decode()
            command += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={text}"]
        return command

    def _credentials(self) -> dict[str, str]:
        """What makes a machine of the image. systemd reads it from the firmware: systemd.system-credentials(7)."""
        found = {"system.hostname": self.name}
        if self.nic is not None:
            found["network.network.10-management"] = self.nic.network
        for name, unit in self.units.items():
            found[f"systemd.extra-unit.{name}"] = unit
        if self.units:
            found["systemd.unit-dropin.multi-user.target"] = f"[Unit]\nWants={' '.join(self.units)}\n"
        return found


class CrashError(RuntimeError):
    """QEMU itself has crashed: seen once, at a boot on a busy machine (SIGSEGV in 7.2, -accel tcg)."""


class Qemu:
    """Started at once; it does not outlive this process."""

    def __init__(self, hardware: Hardware, log: Path) -> None:
        self._log = log
        self._plugged = hardware.plugged
        self._control, controls = socket.socketpair()
        self._serial, serials = socket.socketpair()
        with controls, serials, log.open("wb") as output:
            ends = (controls.fileno(), serials.fileno())
            command = ["setpriv", "--pdeathsig", "KILL", *hardware.command(*ends)]
            self._process = subprocess.Popen(
                command, pass_fds=ends, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def kill(self) -> None:
        self._process.kill()

    def plug(self, plugged: bool) -> None:
        """The cable at the port for links, in or out."""
        self._ask("set_link", name="wire", up=plugged)

    def _ask(self, what: str, **arguments: str | bool) -> None:
        self._control.sendall(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")

    def attend(self, drawn: Callable[[bytes], bytes]) -> str:
        """To the end of it; why the guest ended, in QMP's words. `drawn` is handed what comes over the serial line and
        returns the keys to be sent."""
        events, reason = b"", ""
        with self._control, self._serial:
            self._ask("qmp_capabilities")
            if not self._plugged:
                self.plug(False)
            for end, data in self._received():
                if end is self._serial:
                    if keys := drawn(data):
                        end.sendall(keys)
                    continue
                *lines, events = (events + data).split(b"\n")
                for message in map(json.loads, filter(None, lines)):
                    if message.get("event") == "SHUTDOWN":
                        reason = message["data"]["reason"]
        if status := self._process.wait():
            failure = CrashError if status == -signal.SIGSEGV else RuntimeError
            raise failure(f"QEMU ended with {status}: {self._log.read_text()[-500:].strip()}")
        return reason

    def _received(self) -> Iterator[tuple[socket.socket, bytes]]:
        """What comes in on either socket, until QEMU has closed the first."""
        with selectors.DefaultSelector() as both:
            both.register(self._control, selectors.EVENT_READ, self._control)
            both.register(self._serial, selectors.EVENT_READ, self._serial)
            while True:
                for ready, _ in both.select():
                    end: socket.socket = ready.data
                    try:
                        data = end.recv(1 << 16)
                    except ConnectionResetError:
                        data = b""
                    if data:
                        yield end, data
                    elif end is self._control:
                        return
                    else:
                        both.unregister(end)
