"""The kinds of value that lab.yml has, each with its rule in words."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from inventory.spec import boards
from inventory.spec.errors import did_you_mean

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
LINK_PORT = r"^([a-z][a-z0-9_.-]{0,14}|pci-[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|[0-9a-f]{2}(:[0-9a-f]{2}){5})$"
URL = r"^https?://[^\x00-\x20\x7f]+$"
LOCATION = r"^[^\x00-\x1f\x7f -][^\x00-\x1f\x7f]*$"

INTERFACE_NAME = re.compile(INTERFACE)

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
    LINK_PORT: "must be an interface's name, PCI path (pci-0000:c8:00.5) or MAC address (aa:bb:cc:dd:ee:ff)",
    URL: "must be a URL: http:// or https://, without spaces",
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


def together(words: str) -> PydanticCustomError:
    """A rule about several fields at once; the words stand alone."""
    return PydanticCustomError("together", "{words}", {"words": words})


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


LARGEST_GIB = 192
"""No Strix Halo box has more (the 192 GB ones of 2026)."""


def _gib(value: Any) -> int:
    digits = value.removesuffix("GiB") if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdecimal() and digits != value):
        raise rule("must be a size in GiB, such as 96GiB")
    if not 1 <= (size := int(digits[:9])) <= LARGEST_GIB:
        raise rule(f"must be between 1GiB and {LARGEST_GIB}GiB")
    return size


def _known_board(name: str) -> str:
    known = boards.known()
    if name not in known:
        raise rule(f"is no board of inventory/boards.yml{did_you_mean(name, known)}")
    return name


Size = Annotated[int, BeforeValidator(_gib), WithJsonSchema({"type": "string", "pattern": "^[0-9]+GiB$"})]
"""GiB."""

Board = Annotated[str, AfterValidator(_known_board), WithJsonSchema({"type": "string", "enum": sorted(boards.known())})]
LinkPort = Annotated[str, Field(pattern=LINK_PORT)]
Usb4Mtu = Annotated[int, Field(ge=1280, le=65520)]
"""Bytes: the least that IPv6 allows, and the most that is in use over thunderbolt_net (llama.cpp#26746)."""
EthernetMtu = Annotated[int, Field(ge=1280, le=9216)]
"""Bytes: the least that IPv6 allows, and the jumbo frames that common switches pass."""
Address = Annotated[IPv4Address, WrapValidator(_address)]
Network = Annotated[IPv4Network, WrapValidator(_network)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
KeyFile = Annotated[Path, AfterValidator(_expanded)]
"""`~` is expanded."""

User = Annotated[str, Field(pattern=USER)]
Suite = Annotated[str, Field(pattern=SUITE)]
Commit = Annotated[str, Field(pattern=COMMIT)]
Ref = Annotated[str, Field(pattern=REF)]
Url = Annotated[str, Field(pattern=URL)]
Vocabulary = Annotated[str, Field(pattern=VOCABULARY)]
Folder = Annotated[Location, AfterValidator(_below)]
"""A folder below another one."""


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
