"""A model in parts: what its files are called, and whether all are there."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roles.lib.stop import Failed

# llama.cpp makes the other parts' names from the first one's, and in no other way (src/llama.cpp, llama_split_path).
NAME = re.compile(r"(?P<model>[^\x00-\x1f\x7f/]+)-\d{5}-of-(?P<count>(?!00000)\d{5})\.gguf")
PATTERN = "*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].gguf"
"""The same for a shell."""

SHAPE = "NAME-00001-of-0000N.gguf"
NAMED = 4
"""How many missing parts a message names."""


def in_order(names: Iterable[str], what: str) -> tuple[str, ...]:
    """The parts of the one model among the file names, first to last.

    what: begins the message of the Failed that is raised where a part is missing, or none or two models are there.
    """
    there = {name: found for name in names if (found := NAME.fullmatch(name))}
    models = sorted({(found["model"], found["count"]) for found in there.values()})
    if not models:
        raise Failed(f"{what}: no {SHAPE} there; put every part of the model there (for one in a single file: `file`)")
    if len(models) > 1:
        shown = ", ".join(f"{model}-*-of-{count}.gguf" for model, count in models)
        raise Failed(f"{what}: parts of {len(models)} models: {shown}; give each a folder of its own")
    ((model, count),) = models
    wanted = tuple(f"{model}-{number:05}-of-{count}.gguf" for number in range(1, int(count) + 1))
    if missing := [name for name in wanted if name not in there]:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise Failed(f"{what}: missing or empty: {', '.join(missing[:NAMED])}{more}; put every part there")
    return wanted
