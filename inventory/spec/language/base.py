"""What every part of lab.yml has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Strict and frozen: an unknown key is an error, a string is never taken for a number.

    The docstring below a field is its description in schema.json and in docs/inventory.md.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
