"""What there is of names, and of what the kernel needs for links."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from pyinfra.api import FactBase, StringCommand

from roles.lib.paths import File
from roles.network import hosts, settings
from roles.network.managers import way_in
from roles.network.ports import LOOK, MODULE, Seen, parse


@dataclass(frozen=True)
class Now:
    """ports: the interfaces with hardware; only looked at where one is to get its name. udev: it runs. module: USB4's
    is loaded. ssh: the interface that SSH comes in by."""

    ports: tuple[Seen, ...] = ()
    udev: bool = False
    module: bool = False
    ssh: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    kept: bool = False
    """What the settings were before ours is known."""
    hosts: File | None = None
    """/etc/hosts, or what it is a link to; None where there is none."""


class NamesNow(FactBase[Now]):
    """address: where SSH reaches the node. named: an interface is to get its name."""

    def command(self, address: str, named: bool) -> StringCommand:
        return StringCommand(
            f"if [ -d /sys/module/{MODULE} ]; then echo module there; fi; "
            f"for k in {' '.join(settings.wanted())}; do "
            'echo "setting $k $(cat "/proc/sys/$(echo "$k" | tr . /)")"; done; '
            f"if [ -e {settings.KEPT} ]; then echo kept yes; fi; "
            f"{way_in(address, 'ssh')}"
            f"{LOOK if named else ''}"
            f'f=$(readlink -f {hosts.PATH}); if [ -f "$f" ]; then '
            'echo "hosts $(stat -c \'%a %U %G\' "$f") $f $(base64 <"$f" | tr -d \'\\n\')"; fi'
        )

    def process(self, output: list[str]) -> Now:
        lines = [line.split(" ") for line in output]
        files = [_hosts(line) for line in lines if line[0] == "hosts"]
        return Now(
            ports=parse(output),
            udev=["udev", "runs"] in lines,
            module=["module", "there"] in lines,
            ssh="".join([line[1] for line in lines if line[0] == "ssh"][-1:]),
            settings={line[1]: line[2] for line in lines if line[0] == "setting"},
            kept=["kept", "yes"] in lines,
            hosts=files[0] if files else None,
        )

    @staticmethod
    def default() -> Now:
        return Now()


def _hosts(words: list[str]) -> File:
    _, mode, owner, group, path, text = words
    return File(path, base64.b64decode(text).decode(errors="surrogateescape"), mode, owner, group)
