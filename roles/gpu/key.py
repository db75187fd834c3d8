"""The key that a repository's packages are signed with: fetched by the control machine, known by its fingerprint.

No program is needed for it: of OpenPGP (RFC 9580) only the framing of packets and the fingerprint of a key are read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap
from collections.abc import Iterator

import requests

from inventory.spec import home
from roles.lib.local import whole
from roles.lib.stop import Failed

BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
PUBLIC_KEY = 6
"""The packet's tag; that of a subkey is another."""
MOST = 1 << 20
"""Bytes; more is no key."""


def fetch(url: str, fingerprint: str) -> str:
    """The key in armor, from the cache or downloaded into it. Raises Failed where another key comes, or none."""
    path = home.cache("keys") / f"{fingerprint}.asc"
    if path.is_file() and fits(path.read_text(), fingerprint):
        return path.read_text()
    try:
        with requests.get(url, stream=True, timeout=30) as answer:
            answer.raise_for_status()
            raw = answer.raw.read(MOST + 1, decode_content=True)
    except requests.RequestException as error:
        raise Failed(f"{url}: {error}; expected: the repository's key. Look whether this machine reaches it") from error
    text = armored(raw)
    if not fits(text, fingerprint):
        raise Failed(
            f"{url}: its key has the fingerprint {', '.join(fingerprints(text)) or 'of no key at all'}; "
            f"expected: {fingerprint}. Nothing is installed with a key that nobody vouches for: ask the repository's "
            "owner, and where it is the right one, write its fingerprint under rocm in lab.yml"
        )
    with whole(path) as part:
        part.write_text(text)
    return text


def fits(text: str, fingerprint: str) -> bool:
    """Whether it is this key and no other beside it: whoever signs with a second one would be believed too."""
    return fingerprints(text) == [fingerprint]


def armored(raw: bytes) -> str:
    """As apt and rpm read it, whether it came so or bare."""
    text = raw.decode("latin-1")
    if BEGIN in text:
        return text.replace("\r\n", "\n").strip() + "\n"
    lines = "\n".join(textwrap.wrap(base64.b64encode(raw).decode(), 64))
    return f"{BEGIN}\n\n{lines}\n-----END PGP PUBLIC KEY BLOCK-----\n"


def fingerprints(text: str) -> list[str]:
    """Of every key in the text, without the subkeys; empty where it is none. Keys of version 4, as all are in use."""
    found = []
    try:
        for block in re.findall(rf"{BEGIN}(.*?)-----END", text, re.S):
            for tag, body in _packets(_bytes(block)):
                if tag == PUBLIC_KEY:
                    hashed = b"\x99" + len(body).to_bytes(2, "big") + body
                    # SHA-1 is what the fingerprint is, by definition.
                    found.append(hashlib.sha1(hashed, usedforsecurity=False).hexdigest().upper())
                    if body[0] != 4:
                        return []
    except (IndexError, ValueError, OverflowError):
        return []
    return found


def _bytes(block: str) -> bytes:
    """What is in the armor: after its headers and an empty line, up to the checksum."""
    lines = [line.strip() for line in block.splitlines()]
    body = lines[lines.index("", 1) + 1 :] if "" in lines[1:] else lines
    try:
        return base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body). Raises ValueError or IndexError where it is cut off or of a form that no key has."""
    at = 0
    while at < len(data):
        first = data[at]
        if not first & 0x80:
            raise ValueError("no packet")
        if first & 0x40:
            tag, at, length = first & 0x3F, *_new_length(data, at + 1)
        else:
            size = (1, 2, 4)[first & 3]
            tag, length = first >> 2 & 0xF, int.from_bytes(data[at + 1 : at + 1 + size], "big")
            at += 1 + size
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + length]
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """(where the body begins, its length) of the newer form."""
    first = data[at]
    if first < 192:
        return at + 1, first
    if first < 224:
        return at + 2, (first - 192 << 8) + data[at + 1] + 192
    if first == 255:
        return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise ValueError("in pieces")
