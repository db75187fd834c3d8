"""The files that a host gets from outside: who it is, where it is, who may log in. Pure, but for new_key()."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from roles.lib.render import render
from roles.virtual_host.facts import Digest
from roles.virtual_host.images import Shape
from roles.virtual_host.wanted import Wanted, WantedHost

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
MANAGEMENT: dict[Shape, str] = {
    "debian": "/etc/systemd/network/10-halofleet-management.network",
    "ubuntu": "/etc/netplan/10-halofleet-management.yaml",
    "fedora": "/etc/NetworkManager/system-connections/virtual-management.nmconnection",
}
"""The file that sets up the management interface."""


@dataclass(frozen=True)
class File:
    content: str
    mode: int = 0o644

    @property
    def digest(self) -> Digest:
        return f"{self.mode:o}", hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str
    """`ssh-ed25519 AAAA...`, without a comment."""


def new_key() -> KeyPair:
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    )


def files(wanted: Wanted, host: WantedHost, *, login: str, key: KeyPair, resolver: str) -> dict[str, File]:
    """By their path inside the host. `login` is the public key that root accepts, `key` the host's own."""
    address = f"{host.address}/{wanted.management.prefixlen}"
    return {
        "/etc/hostname": File(f"{host.node}\n"),
        "/etc/hosts": File(render("virtual_host/hosts.j2", node=host.node)),
        # Of the host's own key: another one for every host ever made, the same one for as long as it lives.
        "/etc/machine-id": File(hashlib.sha256(key.public.encode()).hexdigest()[:32] + "\n", 0o444),
        "/etc/resolv.conf": File(resolver),
        MANAGEMENT[host.image.shape]: _management(host.image.shape, address, wanted.gateway),
        "/etc/ssh/sshd_config.d/10-halofleet-virtual.conf": File(render("virtual_host/sshd.conf.j2", port=host.port)),
        HOST_KEY: File(key.private, 0o600),
        f"{HOST_KEY}.pub": File(f"{key.public}\n"),
        "/root/.ssh/authorized_keys": File(f"{login} halofleet lab {wanted.lab}\n", 0o600),
    }


def run_json(wanted: Wanted, host: WantedHost, *, systemd: bool) -> str:
    """What supervisor.py is told."""
    instance = wanted.instance
    return json.dumps(
        {
            "node": host.node,
            "machine": instance.machine(host.node),
            "netns": instance.netns(host.node),
            "base": base(host),
            "cgroup": "" if systemd else instance.cgroup(host.node),
        },
        indent=1,
    )


def base(host: WantedHost) -> str:
    """The tree below its overlay, relative to its folder."""
    return f"../../bases/{host.image.name}"


def _management(shape: Shape, address: str, gateway: str) -> File:
    """netplan and NetworkManager refuse a file that others may read."""
    name = MANAGEMENT[shape].rsplit(".", 1)[1]
    text = render(f"virtual_host/management.{name}.j2", address=address, gateway=gateway)
    return File(text, 0o644 if shape == "debian" else 0o600)


def digests(seed: Mapping[str, File]) -> dict[str, Digest]:
    return {path: file.digest for path, file in seed.items()}


def pinned(known_hosts: str, keys: Mapping[str, str]) -> str:
    """known_hosts with exactly these keys for these endpoints (`address:port`); other entries stay as they are."""
    names = {_known_name(endpoint): key for endpoint, key in keys.items()}
    lines = known_hosts.splitlines()
    right = [f"{name} {key}" for name, key in names.items()]
    if all(lines.count(line) == 1 for line in right) and not any(_stale(line, names, right) for line in lines):
        return known_hosts
    kept = [line for line in lines if line.split(" ", 1)[0] not in names]
    return "".join(f"{line}\n" for line in [*kept, *right])


def _stale(line: str, names: Mapping[str, str], right: list[str]) -> bool:
    return line.split(" ", 1)[0] in names and line not in right


def _known_name(endpoint: str) -> str:
    address, port = endpoint.rsplit(":", 1)
    return address if port == "22" else f"[{address}]:{port}"
