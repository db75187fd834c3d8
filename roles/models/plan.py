"""Which models a node holds: a controller has the models of its serves; workers get their layers over the link."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from inventory.spec import Lab
from inventory.spec.language.sources import (
    ArchiveSource,
    DirectoryModel,
    FileModel,
    GitSource,
    RandomModel,
    UrlModel,
)
from roles.lib.layout import MODELS

GENERATOR = 1
"""Goes into a random model's file name: raise it when random_gguf.py changes what it writes."""


@dataclass(frozen=True)
class Model:
    """path: on the node; the folder of a model in parts. llama_cpp: where a random model's vocabulary comes from."""

    name: str
    path: str
    spec: FileModel | DirectoryModel | UrlModel | RandomModel
    llama_cpp: GitSource | ArchiveSource

    @property
    def on_node(self) -> bool:
        """The user has put it on the node: it is looked at, and never touched."""
        return isinstance(self.spec, FileModel | DirectoryModel) and self.spec.on == "node"

    @property
    def in_parts(self) -> bool:
        return isinstance(self.spec, DirectoryModel)


def model(lab: Lab, name: str) -> Model:
    spec, source = lab.spec.models[name], lab.spec.llama_cpp.source
    match spec:
        case FileModel(file=path, on="node") | DirectoryModel(directory=path, on="node"):
            return Model(name, str(path), spec, source)
        case DirectoryModel():
            return Model(name, f"{MODELS}/{name}", spec, source)
        case FileModel() | UrlModel():
            return Model(name, f"{MODELS}/{name}.gguf", spec, source)
    parts = [GENERATOR, spec.model_dump(mode="json"), source.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    return Model(name, f"{MODELS}/{name}-{digest}.gguf", spec, source)


def plan(lab: Lab, node: str) -> tuple[Model, ...]:
    names = {serve.model for serve in lab.spec.serves.values() if serve.controller == node}
    return tuple(model(lab, name) for name in sorted(names))
