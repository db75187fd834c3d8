"""A node as it is, in one command."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand

from roles.preflight.plan import Snapshot


class Snapshots(FactBase[Snapshot]):
    """lock: the line to hold the lab's lock with, or empty to leave the lock alone (a dry run).

    The lock is a file in /run that names the SSH session of its holder: it is held as long as that session lives,
    and is free at once when the control machine is gone.
    """

    def command(self, lab: str, lock: str) -> StringCommand:
        path = shlex.quote(f"/run/halofleet-{lab}.lock")
        # Two runs that arrive at once: flock lets one look and write before the other looks.
        guard = f"exec 9>>{path}.guard; flock 9;" if lock else ""
        take = f"echo \"$me $(cut -d' ' -f22 /proc/$me/stat)\" {shlex.quote(lock)} >{path}" if lock else ":"
        return StringCommand(
            '. /etc/os-release; echo "os $ID-$VERSION_ID"; echo "arch $(uname -m)"; '
            "echo \"free $(df --output=avail -m /var/lib | tail -n 1 | tr -d ' ')\"; "
            '[ ! -d /run/systemd/system ] || echo systemd yes; [ "$(id -u)" != 0 ] || echo root yes; '
            # not /sys/class/net: a container's /sys may be that of another network namespace
            "ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/interface \\1/'; "
            # The SSH session: the nearest ancestor that is an sshd.
            "me=$$; while [ $me -gt 1 ]; do case $(cat /proc/$me/comm) in sshd*) break ;; esac; "
            "me=$(cut -d' ' -f4 /proc/$me/stat); done; "
            f"{guard} read -r pid start who 2>/dev/null <{path} || pid=; "
            'if [ -n "$pid" ] && [ "$pid" != "$me" ] && '
            '[ "$(cut -d\' \' -f22 /proc/$pid/stat 2>/dev/null)" = "$start" ]; then echo "lock $who"; '
            f"else {take}; fi"
        )

    def process(self, output: list[str]) -> Snapshot:
        pairs = [line.split(" ", 1) for line in output]
        values = {key: value for key, value in pairs if key != "interface"}
        return Snapshot(
            os=values.get("os", ""),
            arch=values.get("arch", ""),
            free=int(values.get("free") or 0),
            systemd="systemd" in values,
            root="root" in values,
            interfaces=frozenset(value for key, value in pairs if key == "interface"),
            lock=values.get("lock", ""),
        )

    @staticmethod
    def default() -> Snapshot:
        return Snapshot()
