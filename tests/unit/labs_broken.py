"""Ways to break a valid lab on purpose. Each says where the error stands, and what its text names."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import assume

from tests.unit.spec_labs import TOPOLOGIES, Data, ends, kind

SECRET = "hf_NotRealNotRealNotReal"
Told = tuple[str, str]
Break = Callable[[Data, Random], Told]

LINKED = ("pair", "double", "chain", "ring", "star", "mesh", "tree", "fabric", "two fabrics")
"""Topologies in which every node has a link."""
FABRICS = ("fabric", "two fabrics")


class Breaks(dict[str, tuple[Break, int, tuple[str, ...]]]):
    """By name, each with the least of nodes that it needs, and the topologies."""

    def add(self, least: int = 1, topologies: tuple[str, ...] = TOPOLOGIES) -> Callable[[Break], Break]:
        def known(function: Break) -> Break:
            self[function.__name__] = (function, least, topologies)
            return function

        return known


def node(data: Data, random: Random) -> tuple[str, Data]:
    name = random.choice(sorted(data["nodes"]))
    return name, data["nodes"][name]


def serve(data: Data, random: Random, *, workers: int = 0) -> tuple[str, Data]:
    """One with so many workers, and room for another."""
    found = [name for name, serve in data["serves"].items() if workers <= len(serve["workers"]) < 16]
    assume(found)
    name = random.choice(found)
    return name, data["serves"][name]


def end(data: Data, random: Random) -> tuple[str, str, dict[str, Any]]:
    """Where an end of a link stands, its node, and the end as a mapping."""
    index = random.randrange(len(data["links"]))
    link = data["links"][index]
    name = random.choice(ends(link))
    return f"links[{index}].{kind(link)}.{name}", name, whole_end(link, name)


def whole_end(link: Data, name: str) -> dict[str, Any]:
    """The end, written as a mapping."""
    said = link[kind(link)]
    each: dict[str, Any] = dict.fromkeys(said) if isinstance(said, list) else said
    value = each[name]
    each[name] = found = {"port": value} if isinstance(value, str) else value or {}
    link[kind(link)] = each
    return found
