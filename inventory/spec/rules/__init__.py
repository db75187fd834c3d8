"""What one field alone cannot tell: every check that needs two parts of the file.

Each rule takes the Draft and yields its problems. A rule is silent about what is broken already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inventory.spec.draft import Draft
from inventory.spec.errors import Problem
from inventory.spec.rules import links, nodes, ranges, serves, sources

RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    *(*nodes.RULES, *ranges.RULES, *links.RULES, *serves.RULES, *sources.RULES),
)


def check(draft: Draft) -> Iterator[Problem]:
    """Every problem of every rule."""
    for rule in RULES:
        yield from rule(draft)
