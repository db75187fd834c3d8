"""Which models a node holds: a controller has the models of its serves; workers get their layers over the link."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from inventory.spec import Lab
from inventory.spec.models import ArchiveSource, FileModel, GitSource, RandomModel
from roles.lib.layout import MODELS

GENERATOR = 1
"""Goes into a random model's file name: raise it when random_gguf.py changes what it writes."""


@dataclass(frozen=True)
class Model:
    """path: on the node. llama_cpp: where a random model's vocabulary comes from."""

    name: str
    path: str
    spec: FileModel | RandomModel
    llama_cpp: GitSource | ArchiveSource


def model(lab: Lab, name: str) -> Model:
    spec, source = lab.spec.models[name], lab.spec.llama_cpp.source
    if isinstance(spec, FileModel):
        path = str(spec.file) if spec.on == "node" else f"{MODELS}/{name}.gguf"
        return Model(name, path, spec, source)
    parts = [GENERATOR, spec.model_dump(mode="json"), source.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    return Model(name, f"{MODELS}/{name}-{digest}.gguf", spec, source)


def plan(lab: Lab, node: str) -> tuple[Model, ...]:
    names = {serve.model for serve in lab.spec.serves.values() if serve.controller == node}
    return tuple(model(lab, name) for name in sorted(names))
