"""systemd-udevd and the interfaces that it names, kmod, and sysfs as far as they show in it.

After systemd 257: the first .link file that matches gives the name (systemd.link(5)), at an `add` event; a name that
another interface has is not given. What a USB4 interface's sysfs looks like is of a public report and of Linux,
drivers/net/thunderbolt and drivers/thunderbolt/xdomain.c; nobody of this project has seen one.
"""

from __future__ import annotations

import configparser
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.sim.network import Network
from tests.sim.network_manager import NetworkManager
from tests.sim.networkd import Networkd
from tests.sim.shell import Call, NotModelled, Reply

USB4 = "thunderbolt-net"
MODULE = "thunderbolt_net"
FOLDER = "etc/systemd/network"
SETTLE = ("trigger", "--action=add", "--settle", "--subsystem-match=net")


@dataclass
class Card:
    """An interface's hardware. bdf: its PCI address. name: what it is called now. file: the .link file that was applied
    last. peer: the host name of the box at the other end of a USB4 cable."""

    bdf: str
    mac: str
    driver: str = USB4
    peer: str = ""
    name: str = ""
    file: str = ""

    @property
    def path(self) -> str:
        return f"pci-{self.bdf}"


class Udev:
    """Programs: udevadm, modprobe. cards: in the order in which the kernel finds them."""

    def __init__(self, root: Path, network: Network, *managers: Networkd | NetworkManager) -> None:
        self.root, self.network, self.managers = root, network, managers
        self.cards: list[Card] = []
        self.modules: set[str] = set()
        """Those that the kernel has, loaded or not."""
        self.daemon = False
        self.names_what_is_up = True
        """As systemd does since Linux lets it; older ones leave such an interface alone."""

    # --- what happens to a box

    def start(self, *, daemon: bool) -> None:
        """The module that the interfaces of these hosts are made by, and the daemon, which containers have not."""
        self.modules |= {MODULE}
        self.load(MODULE)
        self.daemon = daemon
        if daemon:
            self._listen()

    def boot(self) -> None:
        """The kernel finds the hardware anew; udev names it, and loads what modules-load.d says."""
        if not self.daemon:
            return
        self._listen()
        shutil.rmtree(self.root / f"sys/module/{MODULE}", ignore_errors=True)
        for path in (self.root / "etc/modules-load.d").glob("*.conf"):
            for line in path.read_text().splitlines():
                if line and not line.startswith("#"):
                    self.load(line)
        cards, self.cards = self.cards, []
        for card in cards:
            if card.name:
                self._hide(card)
        for card in cards:
            self.plug(card)

    def plug(self, card: Card) -> None:
        """A cable, or a card: the interface appears under a name of the kernel's."""
        if card.driver == USB4 and not (self.root / f"sys/module/{MODULE}").exists():
            self.cards.append(card)  # it waits for the module
            card.name = ""
            return
        card.name, card.file = self._free("thunderbolt" if card.driver == USB4 else "eth"), ""
        self.cards.append(card)
        self.network.appear(card.name, card.mac)
        self._show(card)
        self._event(card)
        for manager in self.managers:
            manager.appeared(card.name)

    def unplug(self, bdf: str) -> Card:
        (card,) = (card for card in self.cards if card.bdf == bdf)
        self.cards.remove(card)
        self._leave(card)
        return card

    def load(self, module: str) -> None:
        (self.root / "sys/module" / module).mkdir(parents=True, exist_ok=True)
        for card in [card for card in self.cards if not card.name]:
            self.cards.remove(card)
            self.plug(card)

    # --- programs

    def modprobe(self, call: Call) -> Reply:
        match call.words:
            case ["-n", "-q", name]:
                return Reply(status=0 if name in self.modules else 1)
            case [name] if name in self.modules:
                self.load(name)
                return Reply()
        raise NotModelled(call)

    def udevadm(self, call: Call) -> Reply:
        match call.words:
            case ["control", "--reload"]:
                return Reply()  # net_setup_link looks at the files at every event
            case ["info", "--query=property", path]:
                name = path.rpartition("/")[2]
                (card,) = (card for card in self.cards if card.name == name)
                values = {"ID_NET_DRIVER": card.driver, "ID_NET_LINK_FILE": card.file, "ID_PATH": card.path}
                return Reply("".join(f"{key}={value}\n" for key, value in values.items() if value))
            case [*words, prop] if tuple(words) == SETTLE and prop.startswith("--property-match=ID_PATH="):
                for card in [card for card in self.cards if card.name and card.path == prop.rpartition("=")[2]]:
                    self._event(card)
                return Reply()
        raise NotModelled(call)

    def set_link(self, call: Call) -> Reply:
        """`ip link set dev NAME down`, and `... name NEW%d`."""
        match call.words:
            case ["link", "set", "dev", name, "down"] if name in self.network.addresses:
                self.network.down.add(name)
                return Reply()
            case ["link", "set", "dev", name, "name", new] if name in self.network.addresses and new.endswith("%d"):
                (card,) = (card for card in self.cards if card.name == name)
                self._rename(card, self._free(new.removesuffix("%d")))
                return Reply()
        raise NotModelled(call)

    # --- how it does it

    def _event(self, card: Card) -> None:
        for path in sorted((self.root / FOLDER).glob("*.link")):
            match, name = _parsed(path)
            seen = {"Path": card.path, "Driver": card.driver, "PermanentMACAddress": card.mac}
            if all(seen[key] == value for key, value in match.items()):
                card.file = f"/{FOLDER}/{path.name}"
                up = card.name not in self.network.down
                if name != card.name and name not in self.network.addresses and (self.names_what_is_up or not up):
                    self._rename(card, name)
                return
        card.file = "/usr/lib/systemd/network/99-default.link"
        if card.driver != USB4 and re.fullmatch("eth[0-9]+", card.name):  # NamePolicy=keep ... path
            bus, slot, function = re.split("[:.]", card.bdf)[1:]
            self._rename(card, f"enp{int(bus, 16)}s{int(slot, 16)}" + (f"f{function}" if function != "0" else ""))

    def _rename(self, card: Card, name: str) -> None:
        self._hide(card)
        self.network.rename(card.name, name)
        old, card.name = card.name, name
        self._show(card)
        for manager in self.managers:
            manager.vanished(old)
            manager.appeared(name)

    def _leave(self, card: Card) -> None:
        if card.name:
            self._hide(card)
            self.network.vanish(card.name)
            for manager in self.managers:
                manager.vanished(card.name)

    def _free(self, kernel: str) -> str:
        """The kernel's choice: the first number that is free."""
        return next(name for n in range(99) if (name := f"{kernel}{n}") not in self.network.addresses)

    def _listen(self) -> None:
        path = self.root / "run/udev/control"
        path.parent.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(path))

    # --- sysfs

    def _device(self, card: Card) -> Path:
        below = "domain1/1-0/1-2/1-2.0" if card.driver == USB4 else ""
        return self.root / "sys/devices/pci0000:00" / card.bdf / below

    def _show(self, card: Card) -> None:
        device, shown = self._device(card), self.root / "sys/class/net" / card.name
        own = device / "net" / card.name
        own.mkdir(parents=True)
        (own / "device").symlink_to("../..")
        if card.peer:
            (device.parent / "device_name").write_text(f"{card.peer}\n")
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.symlink_to(f"../../{own.relative_to(self.root / 'sys')}")

    def _hide(self, card: Card) -> None:
        (self.root / "sys/class/net" / card.name).unlink()
        shutil.rmtree(self.root / "sys/devices/pci0000:00" / card.bdf)


def _parsed(path: Path) -> tuple[dict[str, str], str]:
    """What it matches, and the name that it gives."""
    file = configparser.ConfigParser(comment_prefixes=("#",), inline_comment_prefixes=None, interpolation=None)
    file.optionxform = str  # type: ignore[method-assign,assignment]
    file.read_string(path.read_text())
    match, link = dict(file["Match"]), dict(file["Link"])
    if not match or set(match) - {"Path", "Driver", "PermanentMACAddress"} or link.pop("MACAddressPolicy") != "none":
        raise NotModelled(path.read_text())
    name = link.pop("Name")
    if link:
        raise NotModelled(path.read_text())
    return match, name
