"""The language of lab.yml: typed, strict, frozen.

What a field alone can tell is checked here, with the kinds of value in `fields.py`; what needs two fields is in
`rules.py`; what follows from the file (subnets, addresses) is computed in `topology.py`. The docstring below a field
is its description in schema.json, which editors show.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Tag, model_validator

from inventory.spec.fields import (
    AbsolutePath,
    Address,
    Commit,
    Folder,
    Interface,
    KeyFile,
    Location,
    Name,
    Network,
    Os,
    Port,
    Ref,
    Sha256,
    Suite,
    Text,
    User,
    Vocabulary,
    rule,
    tag,
    tagged,
    together,
)


class Spec(BaseModel):
    """Strict and frozen: an unknown key is an error, a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Ssh(Spec):
    """How the control machine logs in. Left out, SSH's own configuration decides."""

    user: User = "root"
    port: Port = 22
    key: KeyFile | None = None
    """A private key; `~` is expanded. None: the agent and the usual files. Virtual hosts get a key of the lab's own."""


class Virtual(Spec):
    """The lab's hosts are systemd-nspawn hosts on this machine (`deploys/virtual_lab.py`)."""

    suite: Suite = "trixie"
    """Any suite that mmdebstrap can build."""
    mirror: Location | None = None
    """An apt mirror; None: mmdebstrap's own default for the suite."""
    management: Network
    """The bridge's subnet. The bridge has its first address; every node's address lies in it."""


class Node(Spec):
    """A box."""

    id: Annotated[int, Field(ge=1, le=254)]
    """Permanent and unique: the subnets of its cables follow from it."""
    address: Address
    """Where SSH answers: the management network."""
    os: Os
    backend: Literal["cpu"] = "cpu"
    kernel: Literal["own", "none"] = "own"
    """`none`: a container, which has no kernel, boot loader or clock of its own."""
    ssh: Ssh | None = None
    """Overrides the lab's, key by key."""


class Usb4(Spec):
    """A USB4 cable: two nodes, each with the interface that it plugs into."""

    usb4: dict[Name, Interface]
    number: Annotated[int, Field(ge=0, le=1)] = 0
    """Which of the two cables that these nodes may have. The cable's subnet follows from it, so that adding the
    second cable, or moving lines in the file, never renumbers the first."""


class GitSource(Spec):
    """A tag (or a full commit) of a git repository."""

    git: Location
    ref: Ref


class ArchiveSource(Spec):
    """A tarball: a path, a URL, or `pypi:NAME==VERSION` for the source package of that release."""

    archive: Location
    sha256: Sha256
    subdir: Folder = "."
    """Where llama.cpp's CMakeLists.txt is, below the tarball's single top folder."""
    commit: Commit
    """What the tarball was made from: a tarball has no history, and every node must run the same commit."""


Source = Annotated[
    Annotated[GitSource, Tag(tag("git"))] | Annotated[ArchiveSource, Tag(tag("archive"))],
    tagged("git", "archive"),
]


class LlamaCpp(Spec):
    """One source for the whole lab: the RPC protocol does not forgive two versions."""

    source: Source = GitSource(git="https://github.com/ggml-org/llama.cpp", ref="b12059")
    """Left out: upstream, at a tag that is known to hold the fixes that RPC needs (CVE-2026-118375)."""
    cmake: tuple[Text, ...] = ()
    """More arguments for cmake, after our own: `-DGGML_LTO=ON`."""


class FileModel(Spec):
    """A GGUF that lies on the control machine, or on the controller when `on` says so."""

    file: AbsolutePath
    on: Literal["control", "node"] = "control"

    @model_validator(mode="after")
    def _seen_by_the_service(self) -> FileModel:
        hidden = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108  # ProtectHome=, PrivateTmp=
        if self.on == "node" and f"{self.file}".startswith(hidden):
            raise together(f"{self.file} is hidden from services; put the model elsewhere, such as /srv/models")
        return self


class RandomModel(Spec):
    """Random weights around a real vocabulary: it talks nonsense, and everything else about it is real."""

    random: Vocabulary
    """The vocabulary: NAME of models/ggml-vocab-NAME.gguf in the llama.cpp source."""
    layers: Annotated[int, Field(ge=1, le=64)] = 8
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256


Model = Annotated[
    Annotated[FileModel, Tag(tag("file"))] | Annotated[RandomModel, Tag(tag("random"))],
    tagged("file", "random"),
]


OURS = ("--api-key", "--api-key-file", "--host", "--port", "--model", "-m", "--rpc", "--alias", "--ctx-size", "-c")
"""Flags of llama-server that follow from other fields; a key among them would be a secret in the file."""


def _not_ours(word: str) -> str:
    if word.split("=", 1)[0] in OURS:
        raise rule("is halofleet's to set; leave it out")
    return word


class Serve(Spec):
    """One model served: a controller runs llama-server, the workers lend their backend."""

    model: Name
    controller: Name
    workers: tuple[Name, ...] = ()
    port: Port = 8080
    rpc_port: Port = 50052
    context: Annotated[int, Field(ge=256)] = 4096
    """Tokens (`--ctx-size`)."""
    extra: tuple[Annotated[Text, AfterValidator(_not_ours)], ...] = ()
    """More flags for llama-server, as they are."""


class LabFile(Spec):
    """The whole file."""

    ssh: Ssh = Ssh()
    virtual: Virtual | None = None
    links_range: Network = IPv4Network("10.44.0.0/16")
    """Every cable gets a /31 of it."""
    nodes: Annotated[dict[Name, Node], Field(min_length=1)]
    links: tuple[Usb4, ...] = ()
    llama_cpp: LlamaCpp = LlamaCpp()
    models: dict[Name, Model]
    serves: Annotated[dict[Name, Serve], Field(min_length=1)]
