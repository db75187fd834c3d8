"""Distribution packages, asked for in one command and installed as a job of the node.

pyinfra's apt and dnf operations run inside the SSH session: when the control machine vanishes, so does apt, half-way.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand, operation

from roles.lib.jobs import job
from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed

Table = Mapping[str, tuple[str, ...]]
"""Package names by package tool: `apt` and `dnf`."""

PATIENTLY = r"""
patiently() { # COMMAND...: again and again for ten minutes, as long as another apt, dpkg or dnf is at work
    said=$(mktemp) turn=0
    # A pipe ends with tee's status, so the last line says the command's.
    until
        { LC_ALL=C "$@" 2>&1 && printf '\nended well\n' || printf '\nended with %s\n' $?; } | tee "$said"
        tail -n 1 "$said" | grep -qx 'ended well'
    do
        turn=$((turn + 1))
        if [ $turn -ge 60 ] || ! grep -qE 'was locked by|Could not get lock|transaction lock' "$said"; then
            rm -f "$said"
            return 1
        fi
        [ $turn -gt 1 ] || echo "== another one installs packages on this node: waiting for it"
        sleep 10
    done
    rm -f "$said"
}
"""
"""Shell for what does not wait by itself: dpkg, the lock of apt's lists, dnf5 (rpm-software-management/dnf5#2186)."""

SCRIPTS = {
    # --no-install-recommends: build tools would bring hundreds of packages.
    "apt": (
        "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1\n"
        "patiently dpkg --configure -a\n"
        "patiently apt-get update -qq\n"
        "apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 {names}\n"
    ),
    "dnf": "patiently dnf install -y --setopt=install_weak_deps=False {names}\n",
}
"""They want PATIENTLY before them."""


@dataclass(frozen=True)
class Installed:
    """tool: `apt`, `dnf`, or empty where the host has neither."""

    tool: str
    names: frozenset[str]


class InstalledPackages(FactBase[Installed]):
    """Which of the packages are installed; the host's package tool decides which list is asked about."""

    def command(self, apt: tuple[str, ...], dnf: tuple[str, ...]) -> StringCommand:
        quoted = {tool: " ".join(map(shlex.quote, names)) for tool, names in (("apt", apt), ("dnf", dnf))}
        script = (
            "if command -v apt-get >/dev/null; then echo tool apt; "
            f"dpkg-query -W -f '${{db:Status-Status}} ${{Package}}\\n' {quoted['apt']} 2>/dev/null || true; "
            "elif command -v dnf >/dev/null; then echo tool dnf; "
            f"for p in {quoted['dnf']}; do "
            'if rpm -q --whatprovides "$p" >/dev/null 2>&1; then echo "installed $p"; fi; done; '
            "else echo tool none; fi"
        )
        return StringCommand(script)

    def process(self, output: list[str]) -> Installed:
        pairs = [line.split(" ", 1) for line in output]
        tool = next((value for key, value in pairs if key == "tool"), "none")
        return Installed(tool if tool != "none" else "", frozenset(value for key, value in pairs if key == "installed"))

    @staticmethod
    def default() -> Installed:
        return Installed("", frozenset())


@operation()
def packages(table: Table) -> Commands:
    """Installs what is missing. Raises Failed where the host has no known package tool, or a package did not arrive."""
    host = current()
    installed = look(host, InstalledPackages, apt=table["apt"], dnf=table["dnf"])
    if installed.tool not in SCRIPTS:
        raise Failed(f"{host.name}: has neither apt-get nor dnf; halofleet knows Debian, Ubuntu and Fedora")
    missing = [name for name in table[installed.tool] if name not in installed.names]
    if not missing:
        host.noop(f"{len(table[installed.tool])} packages are installed")
        return
    host.log(f"installing {' '.join(missing)}")
    names = " ".join(map(shlex.quote, missing))
    yield job("packages", f"set -e\n{PATIENTLY}" + SCRIPTS[installed.tool].replace("{names}", names))
