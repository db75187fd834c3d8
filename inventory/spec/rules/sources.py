"""Rules about where llama.cpp comes from."""

from __future__ import annotations

from collections.abc import Iterator

from inventory.spec.draft import Draft
from inventory.spec.errors import Problem
from inventory.spec.llama_cpp import known_bad


def _vulnerable(draft: Draft) -> Iterator[Problem]:
    """Of a virtual lab it is a warning (advice)."""
    if draft.llama_cpp is not None and not draft.virtual and (text := known_bad(draft.llama_cpp)):
        yield ("llama_cpp", "source", "ref"), text


RULES = (_vulnerable,)
