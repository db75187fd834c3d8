"""Models on the nodes that serve them."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.models.operations import present
from roles.models.plan import Model


@deploy("models")
def models(plan: tuple[Model, ...]) -> None:
    present(models=plan, name="models present")
