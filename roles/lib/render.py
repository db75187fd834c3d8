"""jinja2, strict: a name that a template does not get is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parents[2] / "templates"


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701  # units and rule sets, not HTML
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )


def render(template: str, **values: Any) -> str:
    """The template, by its path below templates/."""
    return _environment().get_template(template).render(**values)
