"""Where llama.cpp, ROCm and the models come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, Tag, model_validator

from inventory.spec import rocm
from inventory.spec.errors import printable
from inventory.spec.language.base import Spec
from inventory.spec.language.fields import (
    AbsolutePath,
    Commit,
    FilePath,
    Fingerprint,
    Folder,
    Location,
    Ref,
    RocmSeries,
    Sha256,
    Url,
    Vocabulary,
    Word,
    tag,
    tagged,
    together,
)

HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108
"""What the units' ProtectHome= and PrivateTmp= hide from the services."""


class GitSource(Spec):
    """A tag (or a full commit) of a git repository."""

    git: Annotated[Location, Field(examples=["https://github.com/ggml-org/llama.cpp"])]
    """The repository: a URL or a path."""
    ref: Annotated[Ref, Field(examples=["b12059"])]
    """A tag or a full commit. A branch moves, so it is built once and then stays what it was. A tag with a known
    vulnerability (inventory/llama_cpp.yml) is refused, on virtual hosts warned of; what a commit has is not known."""


class ArchiveSource(Spec):
    """A tarball: a path, a URL, or `pypi:NAME==VERSION` for the source package of that release."""

    archive: Annotated[Location, Field(examples=["pypi:llama-cpp-python==0.3.36"])]
    """A path, a URL, or `pypi:NAME==VERSION`."""
    sha256: Annotated[Sha256, Field(examples=["832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"])]
    """The tarball's. Another one is refused, so every build is of the same source."""
    subdir: Annotated[Folder, Field(examples=["vendor/llama.cpp"])] = "."
    """Where llama.cpp's CMakeLists.txt is, below the tarball's single top folder."""
    commit: Annotated[Commit, Field(examples=["0c1e57098"])]
    """What the tarball was made from: a tarball has no history, and every node must run the same commit."""


Source = Annotated[
    Annotated[GitSource, Tag(tag("git"))] | Annotated[ArchiveSource, Tag(tag("archive"))],
    tagged("git", "archive"),
]


class Cmake(Spec):
    """More arguments for cmake, after our own: `[-DGGML_LTO=ON]`."""

    cpu: Annotated[tuple[Word, ...], Field(examples=[["-DGGML_LTO=ON"]])] = ()
    """For nodes whose backend is `cpu`."""
    vulkan: Annotated[tuple[Word, ...], Field(examples=[["-DGGML_LTO=ON"]])] = ()
    """For nodes whose backend is `vulkan`."""
    rocm: Annotated[tuple[Word, ...], Field(examples=[["-DGGML_LTO=ON"]])] = ()
    """For nodes whose backend is `rocm`."""


class LlamaCpp(Spec):
    """One source for the whole lab: the RPC protocol does not forgive two versions."""

    source: Annotated[Source, Field(examples=[{"git": "https://github.com/ggml-org/llama.cpp", "ref": "b12059"}])] = (
        GitSource(git="https://github.com/ggml-org/llama.cpp", ref="b12059")
    )
    """Left out: upstream, at a tag that is known to hold the fixes that RPC needs (CVE-2026-118375)."""
    cmake: Annotated[Cmake, Field(examples=[{"vulkan": ["-DGGML_LTO=ON"]}])] = Cmake()
    """More arguments for cmake, by backend."""


class Rocm(Spec):
    """AMD's ROCm, for nodes that compute by it: one series for the whole lab, from AMD's own repository or a mirror."""

    version: Annotated[RocmSeries, Field(examples=["10.1"])] = rocm.data()["version"]
    """The series, in quotes. After a change the new one is installed beside the old one, which goes at the end of the
    run, when no service uses it any more."""
    repository: Annotated[Url, Field(examples=["https://mirror.example.org/rocm/core/packages"])] = rocm.data()[
        "repository"
    ]
    """The folder above every distribution's (`ubuntu2604/`, `rhel10/`); the nodes fetch from there."""
    key: Annotated[Url, Field(examples=["https://mirror.example.org/rocm/packages.gpg"])] = rocm.data()["key"]
    """The public key that the repository is signed with; the control machine fetches it, once."""
    fingerprint: Annotated[Fingerprint, Field(examples=["C0BDFADA45670AE6989CF8BA87DC44D2B5CE054F"])] = rocm.data()[
        "fingerprint"
    ]
    """The key's. Another key is refused. A mirror that signs anew has one of its own."""
    pin: Annotated[bool, Field(examples=[False])] = True
    """From the repository's host apt takes ROCm and nothing else. `false` where that host has the distribution's
    packages too. dnf takes nothing but ROCm from the repository either way."""


class FileModel(Spec):
    """A GGUF in one file."""

    file: Annotated[FilePath, Field(examples=["/models/llama-3.3-70b.gguf"])]
    """Its path."""
    on: Annotated[Literal["control", "node"], Field(examples=["node"])] = "control"
    """Where it lies: on the control machine, which copies it to the controller, or on the controller."""

    @model_validator(mode="after")
    def _seen_by_the_service(self) -> FileModel:
        _must_be_seen(str(self.file), self.on)
        _must_be_whole(self.file.name)
        return self


class DirectoryModel(Spec):
    """A GGUF in parts: a folder that holds NAME-00001-of-0000N.gguf and the others, and no second model."""

    directory: Annotated[AbsolutePath, Field(examples=["/models/kimi-k2.5"])]
    """Its path."""
    on: Annotated[Literal["control", "node"], Field(examples=["node"])] = "control"
    """Where it lies: on the control machine, which copies the parts to the controller, or on the controller."""

    @model_validator(mode="after")
    def _seen_by_the_service(self) -> DirectoryModel:
        _must_be_seen(f"{self.directory}/", self.on)
        return self


class UrlModel(Spec):
    """A GGUF that the controller fetches."""

    url: Annotated[Url, Field(examples=["https://models.example.org/small.gguf"])]
    """One file, over http or https. The download resumes where it stopped."""
    sha256: Annotated[Sha256, Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])]
    """The file's. Another one is refused."""

    @model_validator(mode="after")
    def _one_file(self) -> UrlModel:
        _must_be_whole(re.split("[?#]", self.url)[0].rsplit("/", 1)[-1])
        return self


class RandomModel(Spec):
    """Random weights around a real vocabulary: it talks nonsense, and everything else about it is real."""

    random: Annotated[Vocabulary, Field(examples=["llama-spm"])]
    """The vocabulary: NAME of models/ggml-vocab-NAME.gguf in the llama.cpp source."""
    layers: Annotated[int, Field(ge=1, le=64, examples=[32])] = 8
    """How many layers; the nodes of a serve share them."""
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=64, examples=[1024])] = 256
    """The embedding's length: what makes the model large."""


Model = Annotated[
    Annotated[FileModel, Tag(tag("file"))]
    | Annotated[DirectoryModel, Tag(tag("directory"))]
    | Annotated[UrlModel, Tag(tag("url"))]
    | Annotated[RandomModel, Tag(tag("random"))],
    tagged("file", "directory", "url", "random"),
]


def _must_be_whole(name: str) -> None:
    if re.search(r"-[0-9]{5}-of-(?!00001)[0-9]{5}\.gguf$", name):
        raise together(f"{printable(name)} is one part of several; name the folder that has them all: `directory:`")


def _must_be_seen(path: str, on: str) -> None:
    if on == "node" and ".." in path.split("/"):
        raise together(f"{printable(path)} has .. in it; write where it leads")
    if on == "node" and path.startswith(HIDDEN):
        raise together(f"{path} is hidden from services; put the model elsewhere, such as /srv/models")
