"""The language of lab.yml: typed, strict, frozen.

What a field alone can tell is checked here; what needs two fields is in `rules.py`; what follows from
the file (subnets, addresses) is computed in `topology.py`. A docstring below a field is its description in
schema.json, which editors show.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

NAME = r"^[a-z][a-z0-9-]{0,30}$"
INTERFACE = r"^[a-z][a-z0-9_.-]{0,14}$"
USER = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
SUITE = r"^[a-z]+$"
SHA256 = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{7,40}$"
OS = r"^(debian|ubuntu|fedora)-[0-9]+(\.[0-9]+)?$"
REF = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
VOCABULARY = r"^[a-z0-9.-]+$"
TEXT = r"^[^\x00-\x1f\x7f]+$"
LOCATION = r"^[^\x00-\x1f\x7f -][^\x00-\x1f\x7f]*$"

PATTERNS = {
    NAME: "must be a name: lower-case letters, digits and dashes, a letter first, at most 31",
    INTERFACE: "must be a network interface: lower-case letters, digits and _.-, a letter first, at most 15",
    USER: "must be a user name",
    SUITE: "must be a suite's name in lower-case letters, such as trixie",
    SHA256: "must be a SHA-256: 64 hexadecimal digits in lower case",
    COMMIT: "must be a commit: 7 to 40 hexadecimal digits in lower case",
    OS: "must be debian, ubuntu or fedora, a dash and the version, such as debian-13",
    REF: "must be a tag or a commit: letters, digits and ._/-, a letter or digit first",
    VOCABULARY: "must be the NAME of a models/ggml-vocab-NAME.gguf: lower-case letters, digits, dots and dashes",
    TEXT: "must be one line of text that is not empty",
    LOCATION: "must be one line of text that is not empty and does not begin with a dash or a space",
}
"""Every pattern in words: nobody should have to read a regular expression in an error."""

Name = Annotated[str, Field(pattern=NAME)]
"""A node, model or serve. It becomes a host name, a file name and part of a unit's name."""

Interface = Annotated[str, Field(pattern=INTERFACE)]
"""A network interface; the kernel's limit is 15 characters (IFNAMSIZ less the NUL)."""

Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=SHA256)]
Os = Annotated[str, Field(pattern=OS)]
"""ID and VERSION_ID of /etc/os-release, joined by a dash: `debian-13`, `ubuntu-26.04`, `fedora-43`."""

Text = Annotated[str, Field(pattern=TEXT)]
"""One argument: a line break in it would become a second line of a unit."""

Location = Annotated[str, Field(pattern=LOCATION)]
"""A path or URL: a program would take a leading dash for an option."""


def rule(words: str) -> PydanticCustomError:
    """A broken rule, said in words that follow the offending value."""
    return PydanticCustomError("rule", "{words}", {"words": words})


def _address(value: Any, parse: ValidatorFunctionWrapHandler) -> IPv4Address:
    try:
        address: IPv4Address = parse(value)
    except ValueError:
        raise rule("must be an IPv4 address, such as 10.43.0.11") from None
    return address


def _network(value: Any, parse: ValidatorFunctionWrapHandler) -> IPv4Network:
    try:
        network: IPv4Network = parse(value)
    except ValueError:
        raise rule(_network_words(value)) from None
    return network


def _network_words(value: Any) -> str:
    if isinstance(value, str) and "/" in value:
        try:
            return f"has bits set behind the prefix; did you mean {IPv4Network(value, strict=False)}?"
        except ValueError:
            pass
    return "must be an IPv4 network, such as 10.44.0.0/16"


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or not str(path).isprintable():
        raise rule("must be an absolute path")
    return path


def _expanded(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise rule("names a home directory that does not exist") from None
    if not path.is_absolute() or not str(path).isprintable():
        raise rule("must be an absolute path or begin with ~/")
    return path


def _below(folder: str) -> str:
    if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts:
        raise rule("must be a folder inside the tarball: no leading / and no ..")
    return folder


Address = Annotated[IPv4Address, WrapValidator(_address)]
Network = Annotated[IPv4Network, WrapValidator(_network)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


def tagged(*keys: str) -> Discriminator:
    """A variant is chosen by the one of these keys that it has, so that errors are about that variant only."""

    def choose(value: Any) -> str | None:
        present = [key for key in keys if (key in value if isinstance(value, dict) else hasattr(value, key))]
        return tag(present[0]) if len(present) == 1 else None

    return Discriminator(
        choose,
        custom_error_type="variant",
        custom_error_message="needs one of {keys}",
        custom_error_context={"keys": ", ".join(keys)},
    )


def tag(key: str) -> str:
    """A variant's tag. The brackets tell it from the file's own keys in pydantic's error locations."""
    return f"<{key}>"


class Spec(BaseModel):
    """Strict and frozen: an unknown key is an error, a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Ssh(Spec):
    """How the control machine logs in. Left out, SSH's own configuration decides."""

    user: Annotated[str, Field(pattern=USER)] = "root"
    port: Port = 22
    key: Annotated[Path, AfterValidator(_expanded)] | None = None
    """A private key; `~` is expanded. None: the agent and the usual files. Virtual hosts get a key of the lab's own."""


class Virtual(Spec):
    """The lab's hosts are systemd-nspawn hosts on this machine (`deploys/virtual_lab.py`)."""

    suite: Annotated[str, Field(pattern=SUITE)] = "trixie"
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
    ref: Annotated[str, Field(pattern=REF)]


class ArchiveSource(Spec):
    """A tarball: a path, a URL, or `pypi:NAME==VERSION` for the source package of that release."""

    archive: Location
    sha256: Sha256
    subdir: Annotated[Location, AfterValidator(_below)] = "."
    """Where llama.cpp's CMakeLists.txt is, below the tarball's single top folder."""
    commit: Annotated[str, Field(pattern=COMMIT)]
    """What the tarball was made from: a tarball has no history, and every node must run the same commit."""


Source = Annotated[
    Annotated[GitSource, Tag(tag("git"))] | Annotated[ArchiveSource, Tag(tag("archive"))],
    tagged("git", "archive"),
]


class LlamaCpp(Spec):
    """One source for the whole lab: the RPC protocol does not forgive two versions."""

    source: Source
    cmake: tuple[Text, ...] = ()
    """More arguments for cmake, after our own: `-DGGML_LTO=ON`."""


class FileModel(Spec):
    """A GGUF that lies on the control machine, or on the controller when `on` says so."""

    file: AbsolutePath
    on: Literal["control", "node"] = "control"


class RandomModel(Spec):
    """Random weights around a real vocabulary: it talks nonsense, and everything else about it is real."""

    random: Annotated[str, Field(pattern=VOCABULARY)]
    """The vocabulary: NAME of models/ggml-vocab-NAME.gguf in the llama.cpp source."""
    layers: Annotated[int, Field(ge=1, le=64)] = 8
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256


Model = Annotated[
    Annotated[FileModel, Tag(tag("file"))] | Annotated[RandomModel, Tag(tag("random"))],
    tagged("file", "random"),
]


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
    extra: tuple[Text, ...] = ()
    """More flags for llama-server, as they are."""


class LabFile(Spec):
    """The whole file."""

    ssh: Ssh = Ssh()
    virtual: Virtual | None = None
    links_range: Network = IPv4Network("10.44.0.0/16")
    """Every cable gets a /31 of it."""
    nodes: Annotated[dict[Name, Node], Field(min_length=1)]
    links: tuple[Usb4, ...] = ()
    llama_cpp: LlamaCpp
    models: dict[Name, Model]
    serves: Annotated[dict[Name, Serve], Field(min_length=1)]
