"""What is the same of a llama-server and an RPC server: how patient the guard is, and when there is anything to judge.
Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .decide import Complaint
from .seen import Server, Sight, Worker

FAILED, FROZEN, DEAF, MUTE = 5.0, 10.0, 60.0, 300.0
"""Patience in seconds. DEAF: a GPU is set up before it listens. MUTE: it computes, or spins, over what is soon done."""

STRANGE = "runs with other addresses than the guard was told of, and is not judged; cluster.py tells it"


def strange(service: Server | Worker, sight: Sight) -> bool:
    return sight.unit.active == "active" and not sight.unit.has(service.flags)


def judged(service: Server | Worker, sight: Sight) -> bool:
    """Whether it runs, as the one that the guard was told of."""
    return sight.unit.active == "active" and sight.process is not None and not strange(service, sight)


def unwell(sight: Sight) -> Iterator[Complaint]:
    """Whatever it serves."""
    if sight.unit.given_up:
        yield Complaint("failed", "systemd has given it up", FAILED)
    if sight.unit.active == "active" and sight.process is not None and sight.process.state == "T":
        yield Complaint("frozen", "its process is stopped (state T)", FROZEN)
