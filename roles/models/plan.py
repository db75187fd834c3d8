"""Which models a node holds: a controller has the models of its serves; workers get their layers over the link."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace

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

TRAINED = 32768
"""Tokens that a random model claims to have been trained on (random_gguf.py)."""
STRETCHED = re.compile(r"--(rope|yarn|override-kv)")
"""Flags of llama-server by which a model takes more context than it was trained on."""
GENERATOR = 1
"""Goes into a random model's file name: raise it when random_gguf.py changes what it writes."""


@dataclass(frozen=True)
class Model:
    """path: on the node; the folder of a model in parts. llama_cpp: where a random model's vocabulary comes from."""

    name: str
    path: str
    spec: FileModel | DirectoryModel | UrlModel | RandomModel
    llama_cpp: GitSource | ArchiveSource
    contexts: tuple[tuple[str, int], ...] = ()
    """Serves of the node, with the tokens that one slot may have of the model."""

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
    asked: dict[str, dict[str, int]] = defaultdict(dict)
    for name, serve in sorted(lab.spec.serves.items()):
        if serve.controller == node:
            stretched = any(STRETCHED.match(word.replace("_", "-")) for word in serve.extra)  # llama.cpp takes either
            asked[serve.model] |= {} if stretched else {name: serve.context // (serve.slots or 1)}
    return tuple(
        replace(model(lab, name), contexts=tuple(contexts.items())) for name, contexts in sorted(asked.items())
    )
