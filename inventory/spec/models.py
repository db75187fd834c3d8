"""The language of lab.yml: typed, strict, frozen.

What a field alone can tell is checked here; what needs two fields is in `rules.py`; what follows from
the file (subnets, addresses) is computed in `topology.py`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
"""A node, model or serve. It becomes a host name, a file name and part of a unit's name."""

Interface = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,14}$")]
"""A network interface; the kernel's limit is 15 characters (IFNAMSIZ less the NUL)."""

Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Os = Annotated[str, Field(pattern=r"^(debian|ubuntu|fedora)-[0-9]+(\.[0-9]+)?$")]
"""ID and VERSION_ID of /etc/os-release, joined by a dash: `debian-13`, `ubuntu-26.04`, `fedora-43`."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Spec(BaseModel):
    """Strict and frozen: an unknown key is an error, a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ssh(Spec):
    """How the control machine logs in. Left out, SSH's own configuration decides."""

    user: str = "root"
    port: Port = 22
    key: Path | None = None
    """A private key; `~` is expanded. None: the agent and the usual files. Virtual hosts get a key of the lab's own."""


class Virtual(Spec):
    """The lab's hosts are systemd-nspawn hosts on this machine (`deploys/virtual_lab.py`)."""

    suite: Annotated[str, Field(pattern=r"^[a-z]+$")] = "trixie"
    """Any suite that mmdebstrap can build."""
    mirror: str | None = None
    """An apt mirror; None: mmdebstrap's own default for the suite."""
    management: IPv4Network
    """The bridge's subnet. The bridge has its first address; every node's address lies in it."""


class Node(Spec):
    """A box."""

    id: Annotated[int, Field(ge=1, le=254)]
    """Permanent and unique: the subnets of its cables follow from it."""
    address: IPv4Address
    """Where SSH answers: the management network."""
    os: Os
    backend: Literal["cpu"] = "cpu"
    kernel: Literal["own", "none"] = "own"
    """`none`: a container, which has no kernel, boot loader or clock of its own."""
    ssh: Ssh | None = None
    """Overrides the lab's."""


class Usb4(Spec):
    """A USB4 cable: two nodes, each with the interface that it plugs into."""

    usb4: dict[Name, Interface]


class GitSource(Spec):
    """A tag (or a full commit) of a git repository."""

    git: str
    ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class ArchiveSource(Spec):
    """A tarball: a path, a URL, or `pypi:NAME==VERSION` for the source package of that release."""

    archive: str
    sha256: Sha256
    subdir: str = "."
    """Where llama.cpp's CMakeLists.txt is, below the tarball's single top folder."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]
    """What the tarball was made from: a tarball has no history, and every node must run the same commit."""


class LlamaCpp(Spec):
    """One source for the whole lab: the RPC protocol does not forgive two versions."""

    source: GitSource | ArchiveSource
    cmake: tuple[str, ...] = ()
    """More arguments for cmake, after our own: `-DGGML_LTO=ON`."""


class FileModel(Spec):
    """A GGUF that lies on the control machine, or on the controller when `on` says so."""

    file: AbsolutePath
    on: Literal["control", "node"] = "control"


class RandomModel(Spec):
    """Random weights around a real vocabulary: it talks nonsense, and everything else about it is real."""

    random: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    """The vocabulary: NAME of models/ggml-vocab-NAME.gguf in the llama.cpp source."""
    layers: Annotated[int, Field(ge=1, le=64)] = 8
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256


class Serve(Spec):
    """One model served: a controller runs llama-server, the workers lend their backend."""

    model: Name
    controller: Name
    workers: tuple[Name, ...] = ()
    port: Port = 8080
    rpc_port: Port = 50052
    context: Annotated[int, Field(ge=256)] = 4096
    """Tokens (`--ctx-size`)."""
    api: Literal["management", "loopback"] = "management"
    """Where llama-server listens: the controller's management address, or 127.0.0.1 only."""
    extra: tuple[str, ...] = ()
    """More flags for llama-server, as they are."""


class LabFile(Spec):
    """The whole file."""

    ssh: Ssh = Ssh()
    virtual: Virtual | None = None
    links_range: IPv4Network = IPv4Network("10.44.0.0/16")
    """Every cable gets a /31 of it."""
    nodes: Annotated[dict[Name, Node], Field(min_length=1)]
    links: tuple[Usb4, ...] = ()
    llama_cpp: LlamaCpp
    models: dict[Name, FileModel | RandomModel]
    serves: Annotated[dict[Name, Serve], Field(min_length=1)]
