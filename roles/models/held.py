"""What the run knows of the models that its nodes hold: told by `present`, asked by llama-server."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import Host

from roles.lib.board import MODELS, board


@dataclass(frozen=True)
class Held:
    """file: what llama-server opens, the first part of a model in parts. identity: tells this model from another under
    the same name (sums, or sizes and times)."""

    file: str
    identity: str


def tell(host: Host, path: str, held: Held) -> None:
    """path: of the Model."""
    board(host.state, MODELS)[f"{host.name} {path}"] = held


def held(host: Host, path: str) -> Held:
    """Where this run has not looked at models, the path itself."""
    found: Held = board(host.state, MODELS).get(f"{host.name} {path}", Held(path, ""))
    return found
