"""What this machine has of one instance, as JSON: `probe.py STATE_DIR FULL_NAME IMAGES_DIR ADDRESS:PORT...`.

Read only, standard library only, one process for the whole role. The keys are the fields of facts.Seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roles.virtual_host.machine import groups
else:  # a script: its own folder is where it looks first
    import groups

TOOLS = ("systemd-nspawn", "mmdebstrap", "nft", "ip", "unshare", "nsenter", "flock", "dnf")


def run(*command: str) -> str:
    """Its standard output; empty when it fails or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def as_json(*command: str) -> Any:
    return json.loads(run(*command) or "[]")


def arguments(pid: str) -> list[str]:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def starting(words: list[str], head: str) -> str:
    return next((word for word in words if word.startswith(head)), "")


def processes(state: Path, full: str) -> dict[str, dict[str, list[int]]]:
    """By host: its supervisors and its nspawns, told by an argument that nothing else has."""
    found: dict[str, dict[str, list[int]]] = {}
    directories = f"{state}/hosts/"
    namespaces = f"--network-namespace-path=/run/netns/{full}."
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        words = arguments(pid)
        if len(words) > 2 and words[-2].endswith("/supervisor.py") and words[-1].startswith(directories):
            node, kind = words[-1].removeprefix(directories), "supervisors"
        elif words and Path(words[0]).name == "systemd-nspawn" and (space := starting(words, namespaces)):
            node, kind = space.removeprefix(namespaces), "nspawns"
        else:
            continue
        found.setdefault(node, {"supervisors": [], "nspawns": []})[kind].append(int(pid))
    return found


def workers(full: str) -> list[int]:
    """What pyinfra started for this instance and may have outlived it: known by a variable of the environment."""
    mark = f"HALOFLEET_WORK={full}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            if mark in Path("/proc", pid, "environ").read_bytes().split(b"\0"):
                found.append(int(pid))
        except OSError:
            continue
    return found


def leader(nspawn: int) -> int | None:
    """The host's PID 1, seen from here."""
    children = run("ps", "-o", "pid=", "--ppid", str(nspawn)).split()
    return int(children[-1]) if children else None


def same_namespace(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == Path("/run/netns", name).stat().st_ino
    except OSError:
        return False


def system_state(pid: int) -> str:
    inside = ("nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root")
    return run(*inside, "systemctl", "is-system-running").strip()


def digests(folder: Path) -> dict[str, list[str]]:
    """Mode and SHA-256 of every file below, by its path inside the host."""
    return {
        f"/{path.relative_to(folder)}": [
            f"{path.stat().st_mode & 0o777:o}",
            hashlib.sha256(path.read_bytes()).hexdigest(),
        ]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def host(directory: Path, full: str, found: dict[str, list[int]]) -> dict[str, Any]:
    nspawns = found.get("nspawns", [])
    pid = leader(nspawns[0]) if nspawns else None
    return {
        "supervisors": found.get("supervisors", []),
        "nspawns": nspawns,
        "made": (directory / "upper").is_dir(),
        "run": text(directory / "run.json"),
        "seed": digests(directory / "seed"),
        "in_namespace": pid is not None and same_namespace(pid, f"{full}.{directory.name}"),
        "system": system_state(pid) if pid is not None else "",
    }


def greets(address: str, port: int) -> bool:
    """Does an SSH server answer?"""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def resolver() -> str:
    """The machine's resolv.conf, or the real one behind a stub that listens on loopback only."""
    content = text(Path("/etc/resolv.conf"))
    servers = re.findall(r"^\s*nameserver\s+(\S+)", content, re.MULTILINE)
    if servers and all(server.startswith("127.") or server == "::1" for server in servers):
        return text(Path("/run/systemd/resolve/resolv.conf")) or content
    return content


def free(path: Path) -> tuple[str, int, int]:
    """The nearest folder that exists, its device, and the bytes that are free there."""
    while not path.exists():
        path = path.parent
    return str(path), path.stat().st_dev, shutil.disk_usage(path).free


def dropping_tables() -> list[str]:
    """Tables whose forward chain drops by default, as docker's does."""
    things = json.loads(run("nft", "-j", "list", "chains") or "{}").get("nftables", [])
    chains = (thing.get("chain", {}) for thing in things)
    return sorted(
        {f"{c['family']} {c['table']}" for c in chains if c.get("hook") == "forward" and c.get("policy") == "drop"}
    )


def probe(state: Path, full: str, images: Path) -> dict[str, Any]:
    found = processes(state, full)
    spaces = sorted(path.name for path in Path("/run/netns").glob(f"{full}.*"))
    made = {path.name for path in (state / "hosts").glob("*") if path.is_dir()}
    return {
        "package_tool": next((tool for tool in ("apt-get", "dnf") if shutil.which(tool)), ""),
        "missing": [tool for tool in TOOLS if shutil.which(tool) is None],
        "systemd": Path("/run/systemd/system").is_dir(),
        "state": state.is_dir(),
        "images": sorted(path.stem for path in images.glob("*.tar")),
        "bases": sorted(path.name for path in (state / "bases").glob("[!.]*")),
        "lab": text(state / "lab").strip(),
        "state_disk": free(state),
        "image_disk": free(images),
        "netns_mounted": os.path.ismount("/run/netns"),
        "resolver": resolver(),
        "interfaces": as_json("ip", "-j", "-d", "address"),
        "routes": as_json("ip", "-4", "-j", "route", "show", "table", "all"),
        "table": run("nft", "list", "table", "ip", full),
        "dropping": dropping_tables(),
        "forwarding": text(Path("/proc/sys/net/ipv4/ip_forward")).strip() == "1",
        "forwarding_mine": Path("/run/halofleet/forwarding/users", full).exists(),
        "spaces": {name.removeprefix(f"{full}."): as_json("ip", "-n", name, "-j", "-d", "address") for name in spaces},
        "hosts": {node: host(state / "hosts" / node, full, found.get(node, {})) for node in sorted(made | set(found))},
        "groups": groups.instance(full),
        "workers": workers(full),
    }


def main() -> None:
    state, full, images, *addresses = sys.argv[1:]
    seen = probe(Path(state), full, Path(images))
    seen["greets"] = [address for address in addresses if greets(*_endpoint(address))]
    json.dump(seen, sys.stdout)


def _endpoint(address: str) -> tuple[str, int]:
    name, port = address.rsplit(":", 1)
    return name, int(port)


if __name__ == "__main__":
    main()
