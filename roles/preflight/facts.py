"""A node as it is, in one command."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand

from roles.firewall.broken import BROKEN
from roles.gpu.plan import traces
from roles.lib.layout import LINKS_PROVEN
from roles.network.managers import detect, way_in
from roles.network.ports import LOOK, MODULE, parse
from roles.preflight import way
from roles.preflight.plan import Snapshot

LOCK = "/run/halofleet.lock"
SILENCE_MS = 60_000
"""A holder whose connection has been silent for so long is gone without a word: a living one says something every
KEEPALIVE_SECONDS (roles/lib/connector.py)."""


class Snapshots(FactBase[Snapshot]):
    """address: where SSH reaches the node. lock: the line to hold the node's lock with; empty to leave the lock alone.
    ports: interfaces are to get their names there.

    The lock is a file in /run that names the SSH session of its holder: it is held as long as that session lives.
    """

    def command(self, address: str, lock: str, ports: bool = False) -> StringCommand:
        return StringCommand(
            '. /etc/os-release; echo "os $ID-$VERSION_ID"; echo "arch $(uname -m)"; '
            # not -m: Ubuntu 26.04's df (uutils) has no such option
            "echo \"free $(df --output=avail -B1048576 /var/lib | tail -n 1 | tr -d ' ')\"; "
            "[ ! -d /run/systemd/system ] || systemctl --version | sed -n 's/^systemd \\([0-9]*\\).*/systemd \\1/p'; "
            '[ "$(id -u)" != 0 ] || echo root yes; '
            f"for f in {' '.join(traces())}; do [ ! -e $f ] || echo gpu yes; done; "
            # not /sys/class/net: a container's /sys may be that of another network namespace
            "ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/interface \\1/'; "
            "ip -o link | sed -nE 's/^[0-9]+: ([^:@]+).* master ([^ ]+) .*/master \\1 \\2/p'; "
            f"{way_in(address, 'ssh_interface')}"
            f"if [ -d /sys/module/{MODULE} ] || modprobe -n -q {MODULE} 2>/dev/null; then echo module there; fi; "
            f"{LOOK if ports else ''}"
            f"{detect(address)}{BROKEN}"
            f"[ ! -e {LINKS_PROVEN} ] || sed 's/^/proven /' {LINKS_PROVEN}; "
            f"{way.WAY}"
            f"{_lock(lock)}"
        )

    def process(self, output: list[str]) -> Snapshot:
        pairs = [line.partition(" ")[::2] for line in output]
        values = {key: value for key, value in pairs if key not in ("interface", "master", "broken", "port", "proven")}
        return Snapshot(
            os=values.get("os", ""),
            arch=values.get("arch", ""),
            free=int(values.get("free") or 0),
            systemd=int(values.get("systemd") or 0),
            root="root" in values,
            ssh_interface=values.get("ssh_interface", ""),
            interfaces=frozenset(value for key, value in pairs if key == "interface"),
            lock=values.get("lock", ""),
            manager=values.get("manager", ""),
            broken=tuple(value for key, value in pairs if key == "broken"),
            masters=dict(value.split(" ", 1) for key, value in pairs if key == "master"),
            gpu="gpu" in values,
            ports=parse(output),
            udev="udev" in values,
            module="module" in values,
            proven=tuple(value for key, value in pairs if key == "proven"),
            way=way.process(output),
        )

    @staticmethod
    def default() -> Snapshot:
        return Snapshot()


def _lock(line: str) -> str:
    """Shell: says who else holds the lock, or takes it."""
    # Two runs that arrive at once: flock lets one look and write before the other looks.
    guard = f"exec 9>>{LOCK}.guard; flock 9; " if line else ""
    # The session of a holder that fell silent ends here: a laptop that wakes up must not go on beside us.
    take = (
        f'[ -z "$alive" ] || kill $pid; echo "$me $(cut -d\' \' -f22 /proc/$me/stat)" {shlex.quote(line)} >{LOCK}'
        if line
        else ":"
    )
    return (
        # The SSH session: the nearest ancestor that is an sshd.
        "me=$$; while [ $me -gt 1 ]; do case $(cat /proc/$me/comm) in sshd*) break ;; esac; "
        "me=$(cut -d' ' -f4 /proc/$me/stat); done; "
        f"{guard}read -r pid start who 2>/dev/null <{LOCK} || pid=; "
        # `alive`: the process that the file names still is the one that wrote it.
        'alive=; if [ -n "$pid" ] && [ "$pid" != "$me" ] && '
        '[ "$(cut -d\' \' -f22 /proc/$pid/stat 2>/dev/null)" = "$start" ]; then alive=yes; fi; '
        'silent=0; if [ -n "$alive" ]; then silent=$(ss -tniHpO state established 2>/dev/null | grep -F "pid=$pid," | '
        "sed -n 's/.*lastrcv:\\([0-9]*\\).*/\\1/p' | head -n 1); fi; "
        f'if [ -n "$alive" ] && [ "${{silent:-0}}" -lt {SILENCE_MS} ]; then echo "lock $who"; '
        f"else {take}; fi"
    )
