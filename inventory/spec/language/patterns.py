"""What the words of lab.yml look like, and every pattern in words."""

from __future__ import annotations

import re

NAME = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"
INTERFACE = r"^[a-z][a-z0-9_.-]{0,14}$"
USER = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
SUITE = r"^[a-z]+$"
SHA256 = r"^[0-9a-f]{64}$"
FINGERPRINT = r"^([0-9A-Fa-f]{4} {0,2}){9}[0-9A-Fa-f]{4}$"
COMMIT = r"^[0-9a-f]{7,40}$"
OS = r"^(debian|ubuntu|fedora)-[0-9]+(\.[0-9]+)?$"
REF = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
VOCABULARY = r"^[a-z0-9.-]+$"
TEXT = r"^[^\x00-\x1f\x7f]+$"
LINK_PORT = (
    r"^([A-Za-z][A-Za-z0-9_.-]{0,14}|pci-[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
    r"|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})$"
)
URL = r"^https?://[^\x00-\x20\x7f/?#][^\x00-\x20\x7f]*$"
LOCATION = r"^[^\x00-\x1f\x7f -][^\x00-\x1f\x7f]*$"

INTERFACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
"""A name that the kernel gives: `enP1p1s0` has its PCI domain in upper case."""

PATTERNS = {
    NAME: "must be a name: lower-case letters, digits and dashes, a letter first, no dash last, at most 31",
    INTERFACE: "must be a network interface: lower-case letters, digits and _.-, a letter first, at most 15",
    USER: "must be a user name",
    SUITE: "must be a suite's name in lower-case letters, such as trixie",
    SHA256: "must be a SHA-256: 64 hexadecimal digits in lower case",
    FINGERPRINT: "must be a key's fingerprint: 40 hexadecimal digits, as `gpg --show-keys` prints them",
    COMMIT: "must be a commit: 7 to 40 hexadecimal digits in lower case",
    OS: "must be debian, ubuntu or fedora, a dash and the version, such as debian-13",
    REF: "must be a tag or a commit: letters, digits and ._/-, a letter or digit first",
    VOCABULARY: "must be the NAME of a models/ggml-vocab-NAME.gguf: lower-case letters, digits, dots and dashes",
    TEXT: "must be one line of text that is not empty",
    LINK_PORT: "must be an interface's name, PCI path (pci-0000:c8:00.5) or MAC address (aa:bb:cc:dd:ee:ff)",
    URL: "must be a URL: http:// or https:// and a host, without spaces",
    LOCATION: "must be one line of text that is not empty and does not begin with a dash or a space",
}
"""Every pattern in words: nobody should have to read a regular expression in an error."""
