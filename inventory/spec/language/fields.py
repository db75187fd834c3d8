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

from inventory.spec import boards, rocm
from inventory.spec.errors import did_you_mean, printable, quoted
from inventory.spec.language.patterns import (
    COMMIT,
    FINGERPRINT,
    INTERFACE,
    LINK_PORT,
    LOCATION,
    NAME,
    OS,
    REF,
    SHA256,
    SUITE,
    TEXT,
    URL,
    USER,
    VOCABULARY,
)

Name = Annotated[str, Field(pattern=NAME)]
"""A node, model or serve. It becomes a host name, a file name and part of a unit's name."""

Interface = Annotated[str, Field(pattern=INTERFACE)]
"""A network interface; the kernel's limit is 15 characters (IFNAMSIZ less the NUL)."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _unprivileged(port: int) -> int:
    if port < 1024:
        raise rule("must be at least 1024: lower ports are root's, and the services run as an ordinary user")
    return port


ServicePort = Annotated[
    int,
    Field(le=65535),
    AfterValidator(_unprivileged),
    WithJsonSchema({"type": "integer", "minimum": 1024, "maximum": 65535}),
]
"""Of our own units, which have no capability."""

Sha256 = Annotated[str, Field(pattern=SHA256)]
Os = Annotated[str, Field(pattern=OS)]
"""ID and VERSION_ID of /etc/os-release, joined by a dash: `debian-13`, `ubuntu-26.04`, `fedora-43`."""

Text = Annotated[str, Field(pattern=TEXT)]
"""One argument: a line break in it would become a second line of a unit."""

Word = Annotated[Text, AfterValidator(lambda word: words_apart(word))]
"""One argument of a program."""

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
        if isinstance(value, str) and not _CIDR.fullmatch(value):
            raise ValueError(value)
    except ValueError:
        raise rule(_network_words(value)) from None
    return network


def _prefixed(value: Any, parse: ValidatorFunctionWrapHandler) -> IPv4Network:
    """A lone address would be taken for a /32, and 0.0.0.255 for a mask."""
    network = _network(value, parse)
    if isinstance(value, str) and "/" not in value:
        raise rule(_NO_NETWORK)
    return network


_NO_NETWORK = "must be an IPv4 network with its prefix, such as 10.44.0.0/16"
_CIDR = re.compile(r"[0-9.]+(/[0-9]{1,2})?", re.ASCII)


def _network_words(value: Any) -> str:
    if isinstance(value, str) and "/" in value and _CIDR.fullmatch(value):
        try:
            return f"has bits set behind the prefix; did you mean {IPv4Network(value, strict=False)}?"
        except ValueError:
            pass
    return _NO_NETWORK


def _absolute(path: Path) -> Path:
    if str(path).startswith("~"):
        raise rule("must be an absolute path; ~ is not expanded, for a node has other homes: write it out")
    if not path.is_absolute() or not str(path).isprintable():
        raise rule("must be an absolute path")
    return path


def _file(value: Any, parse: ValidatorFunctionWrapHandler) -> Path:
    path: Path = parse(value)
    if str(value).endswith("/"):
        raise rule("is a folder, but must be a file; a model in parts is `directory:`")
    return path


def _key_file(value: Any, _: ValidatorFunctionWrapHandler) -> Path:
    """No message repeats the value: it may be the key itself."""
    try:
        path = Path(value).expanduser()
    except (TypeError, RuntimeError):
        path = Path()
    if not path.is_absolute() or not str(path).isprintable():
        raise together("must be the path of a file, absolute or beginning with ~/, not the key itself")
    return path


def words_apart(word: str) -> str:
    """A program would take a flag and its value in one word for one long flag."""
    flag, _, value = word.partition(" ")
    if word.startswith("-") and value and "=" not in flag:
        raise rule(f"is two words; write them apart: [{printable(flag)}, {quoted(value.strip())}]")
    return word


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


def _known_series(series: str) -> str:
    known = rocm.known()
    if series not in known:
        raise rule(f"is no series of ROCm that halofleet knows; take {' or '.join(known)}")
    return series


def _joined(fingerprint: str) -> str:
    return fingerprint.replace(" ", "").upper()


Size = Annotated[int, BeforeValidator(_gib), WithJsonSchema({"type": "string", "pattern": "^[0-9]+GiB$"})]
"""GiB."""

Board = Annotated[str, AfterValidator(_known_board), WithJsonSchema({"type": "string", "enum": sorted(boards.known())})]
RocmSeries = Annotated[
    str, AfterValidator(_known_series), WithJsonSchema({"type": "string", "enum": list(rocm.known())})
]
LinkPort = Annotated[str, Field(pattern=LINK_PORT), AfterValidator(lambda port: port.lower() if ":" in port else port)]
"""A MAC address becomes lower case, as Linux shows it."""
Usb4Mtu = Annotated[int, Field(ge=1280, le=65520)]
"""Bytes: the least that IPv6 allows, and the most that is in use over thunderbolt_net (llama.cpp#26746)."""
EthernetMtu = Annotated[int, Field(ge=1280, le=9216)]
"""Bytes: the least that IPv6 allows, and the jumbo frames that common switches pass."""
Address = Annotated[IPv4Address, WrapValidator(_address)]
Network = Annotated[IPv4Network, WrapValidator(_prefixed)]
Clients = Annotated[IPv4Network, WrapValidator(_network)]
"""A network, or a single host."""
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
FilePath = Annotated[AbsolutePath, WrapValidator(_file)]
KeyFile = Annotated[Path, WrapValidator(_key_file)]
"""`~` is expanded."""

User = Annotated[str, Field(pattern=USER)]
Suite = Annotated[str, Field(pattern=SUITE)]
Commit = Annotated[str, Field(pattern=COMMIT)]
Ref = Annotated[str, Field(pattern=REF)]
Url = Annotated[str, Field(pattern=URL)]
Fingerprint = Annotated[str, Field(pattern=FINGERPRINT), AfterValidator(_joined)]
"""Of an OpenPGP key; in upper case without spaces, however it was written."""
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
