"""The files of an instance on this machine: keys, the hosts' seeds. Reads, and writes for operations.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from inventory.spec.home import virtual_key
from roles.virtual_host import seed
from roles.virtual_host.facts import Seen
from roles.virtual_host.wanted import Wanted, WantedHost


def read_text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def read_key(path: Path) -> seed.KeyPair | None:
    """None: there is no key, or none that can be read as one."""
    try:
        private = path.read_text()
        public = load_ssh_private_key(private.encode(), None).public_key()
    except (FileNotFoundError, ValueError):
        return None
    return seed.KeyPair(private, public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def make_key(path: Path) -> None:
    pair = seed.new_key()
    write(path, pair.private, 0o600)
    write(path.with_name(f"{path.name}.pub"), f"{pair.public}\n", 0o644)


def write(path: Path, content: str, mode: int) -> None:
    """The file is whole or not there, and never readable for more people than it should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def host_key(lab: Wanted, host: WantedHost) -> Path:
    """Beside the seeds, not in them: a seed is compared and written as a whole."""
    return lab.instance.state / "keys" / host.node


def hosts_without_key(lab: Wanted) -> list[WantedHost]:
    return [host for host in lab.hosts if read_key(host_key(lab, host)) is None]


def pinned(lab: Wanted, known: str) -> str:
    """known_hosts as it should be, as far as the hosts have keys."""
    found = {host.endpoint: read_key(host_key(lab, host)) for host in lab.hosts}
    return seed.pinned(known, {endpoint: key.public for endpoint, key in found.items() if key})


def is_pinned(lab: Wanted, path: Path) -> bool:
    known = read_text(path)
    return pinned(lab, known) == known


def pin(lab: Wanted, path: Path) -> None:
    write(path, pinned(lab, read_text(path)), 0o644)


def seeds(lab: Wanted, seen: Seen) -> dict[str, dict[str, seed.File]]:
    """By node. Before the keys are made (a dry run), with empty ones."""
    nobody = seed.KeyPair("", "")
    login = read_key(virtual_key(lab.lab)) or nobody
    return {
        host.node: seed.files(
            lab, host, login=login.public, key=read_key(host_key(lab, host)) or nobody, resolver=seen.resolver
        )
        for host in lab.hosts
    }


def runs(lab: Wanted, seen: Seen) -> dict[str, str]:
    """run.json by node."""
    return {host.node: seed.run_json(lab, host, systemd=seen.systemd) for host in lab.hosts}


def write_host(lab: Wanted, node: str, files: dict[str, seed.File], run: str) -> None:
    """The host's seed is exactly these files. run.json comes last: a folder with it is whole."""
    folder = lab.instance.host_dir(node)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for path in [path for path in (folder / "seed").rglob("*") if path.is_file()]:
        if f"/{path.relative_to(folder / 'seed')}" not in files:
            path.unlink()
    for name, file in files.items():
        write(folder / "seed" / name.lstrip("/"), file.content, file.mode)
    write(folder / "run.json", run, 0o600)
