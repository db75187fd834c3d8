"""Models on the node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from pyinfra.api import Host

from roles.lib.remote import look
from roles.lib.stop import Failed
from roles.models.facts import ModelFiles, ModelHeads
from roles.models.head import Head
from roles.models.parts import in_order
from roles.models.plan import Model


def files(host: Host, models: tuple[Model, ...]) -> dict[str, str]:
    """Path -> sum, or size and time, of every file that the models have there: one remote command."""
    return look(host, ModelFiles, **_places(models))


def heads(host: Host, models: tuple[Model, ...]) -> dict[str, Head]:
    """By the model's path: one remote command."""
    return look(host, ModelHeads, **_places(models))


def _places(models: tuple[Model, ...]) -> dict[str, tuple[str, ...]]:
    """What both facts are asked with."""
    return {
        "files": tuple(model.path for model in models if not model.in_parts),
        "folders": tuple(model.path for model in models if model.in_parts),
    }


def of(model: Model, seen: Mapping[str, str]) -> dict[str, str]:
    """What of it is this model's."""
    return {path: digest for path, digest in seen.items() if model.path in (path, str(PurePosixPath(path).parent))}


def in_place(model: Model, mine: Mapping[str, str]) -> dict[str, str]:
    """The files of a model that the user has put on the node, in their order. Raises Failed."""
    if model.in_parts:
        names = in_order((PurePosixPath(path).name for path in mine), f"{model.path} on this node")
        return {path: mine[path] for path in (f"{model.path}/{name}" for name in names)}
    if not mine:
        raise Failed(f"no file {model.path} on this node")
    return dict(mine)


def trouble(host: Host, models: tuple[Model, ...]) -> dict[str, str]:
    """What is wrong with the models that the user has put on the node: name -> why."""
    found: dict[str, str] = {}
    seen = files(host, models) if models else {}
    for model in models:
        try:
            in_place(model, of(model, seen))
        except Failed as failed:
            found[model.name] = str(failed)
    return found
