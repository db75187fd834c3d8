"""Load on a llama-server as people and programs make it together: long prompts, chats, streams, probes, clients that
hang up. What went wrong is kept, and how long each kind took at most."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.lab.harness import Lab

PATIENCE = 120.0
"""Seconds for an answer, on two cores that are not alone."""
TOKENS = range(1000, 30000)
"""Ids of plain pieces of words in the vocabulary of the shipped model."""
SERVICES = "halofleet-server-chat halofleet-rpc-server halofleet-guard"


def runs(lab: Lab) -> dict[str, str]:
    """Of every node: its services with their InvocationIDs and how often systemd has started them again."""
    words = f"systemctl show -p Id -p InvocationID -p NRestarts {SERVICES}"
    return {host: lab.ssh(host, words) for host in lab.addresses}


def guards(lab: Lab) -> dict[str, list[dict[str, Any]]]:
    """Of every node: what its guard says of its services."""
    return {host: json.loads(lab.ssh(host, "cat /run/halofleet/guard.json"))["units"] for host in lab.addresses}


@dataclass
class Load:
    """context: tokens that a slot has room for. counts, worst: by kind; seconds. fullest: slots seen at work."""

    base: str
    key: str
    context: int
    slots: int
    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    fullest: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, seed: str) -> None:
        """Half as many again as there are slots, and two who only look, so that all are taken and some wait."""
        self.over.clear()
        many = self.slots * 3 // 2
        kinds = [WORK] * many + [LOOKS] * 2
        self.threads = [
            threading.Thread(target=self._go_on, args=(random.Random(f"{seed} {number}"), each), daemon=True)  # noqa: S311
            for number, each in enumerate(kinds)
        ]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Returns when all have got their answers."""
        self.over.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)

    def _go_on(self, rng: random.Random, kinds: dict[str, tuple[int, Kind]]) -> None:
        weights = [weight for weight, _ in kinds.values()]
        while not self.over.is_set():
            (name,) = rng.choices(list(kinds), weights)
            start, wrong = time.monotonic(), ""
            try:
                kinds[name][1](self, rng)
            except (requests.RequestException, OSError, AssertionError, ValueError, LookupError) as error:
                wrong = f"{time.strftime('%X')} {name}: {type(error).__name__}: {error}"
                self.over.wait(1)
            took = time.monotonic() - start
            with self.lock:
                self.counts[name] += 1
                self.worst[name] = max(took, self.worst.get(name, 0))
                self.failures += [wrong] if wrong else []
            self.over.wait(rng.uniform(0, 0.5))

    def call(self, path: str, body: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        method = "GET" if body is None else "POST"
        url = self.base + path
        reply = requests.request(method, url, json=body, headers=headers, timeout=PATIENCE, **more)
        assert reply.status_code == 200, f"{path}: {reply.status_code} {reply.text[:300]}"
        return reply

    def long(self, rng: random.Random) -> dict[str, Any]:
        """A prompt that leaves a slot room for little else."""
        return {"prompt": rng.choices(TOKENS, k=self.context - rng.randrange(32, 96)), "n_predict": 8}

    def __str__(self) -> str:
        lines = [f"{name}: {self.counts[name]}, {self.worst[name]:.1f} s at most" for name in sorted(self.counts)]
        return "\n".join([*lines, f"{self.fullest} of {self.slots} slots at work at once"])


Kind = Callable[[Load, random.Random], None]


def long_prompt(load: Load, rng: random.Random) -> None:
    body = load.long(rng)
    said = load.call("/completion", {**body, "ignore_eos": True, "cache_prompt": rng.random() < 0.5}).json()
    assert said["tokens_predicted"] == body["n_predict"], said
    assert said["tokens_evaluated"] >= len(body["prompt"]), said


def _chat(rng: random.Random) -> dict[str, Any]:
    words = rng.choices(["red", "green", "and", "house", "why", "tree"], k=rng.randrange(1, 60))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": " ".join(words)}]
    return {"messages": messages, "max_tokens": rng.randrange(1, 48), "ignore_eos": True}


def chat(load: Load, rng: random.Random) -> None:
    body = _chat(rng)
    said = load.call("/v1/chat/completions", body).json()
    assert said["usage"]["completion_tokens"] == body["max_tokens"], said
    assert said["choices"][0]["message"]["role"] == "assistant", said


def stream(load: Load, rng: random.Random) -> None:
    with load.call("/v1/chat/completions", _chat(rng) | {"stream": True}, stream=True) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert lines[-1] == b"data: [DONE]", lines[-1:]
    pieces = [json.loads(line.removeprefix(b"data: ")) for line in lines[:-1]]
    assert any(piece["choices"] and piece["choices"][0]["finish_reason"] == "length" for piece in pieces), pieces[-1:]


def gone_in_prompt(load: Load, rng: random.Random) -> None:
    """With a FIN or with a reset."""
    to = urlsplit(load.base)
    body = json.dumps(load.long(rng)).encode()
    head = f"POST /completion HTTP/1.1\r\nHost: {to.netloc}\r\nAuthorization: Bearer {load.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((str(to.hostname), to.port or 80), 10) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(rng.uniform(0, 1.5))
        if rng.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def gone_in_stream(load: Load, rng: random.Random) -> None:
    body = {"prompt": "Once", "n_predict": 400, "ignore_eos": True, "stream": True}
    with load.call("/completion", body, stream=True) as reply, suppress(StopIteration):
        lines = reply.iter_lines()
        for _ in range(rng.randrange(1, 20)):
            next(lines)


def probe(load: Load, rng: random.Random) -> None:  # noqa: ARG001
    assert load.call("/health").json() == {"status": "ok"}
    assert "llamacpp:" in load.call("/metrics").text
    assert load.call("/v1/models").json()["data"][0]["id"] == "nonsense"


def slots(load: Load, rng: random.Random) -> None:  # noqa: ARG001
    said = load.call("/slots").json()
    assert len(said) == load.slots, said
    load.fullest = max(load.fullest, sum(slot["is_processing"] for slot in said))


def tokenize(load: Load, rng: random.Random) -> None:
    tokens = rng.choices(TOKENS, k=50)
    text = load.call("/detokenize", {"tokens": tokens}).json()["content"]
    assert load.call("/tokenize", {"content": text}).json()["tokens"]


WORK: dict[str, tuple[int, Kind]] = {
    "long prompt": (3, long_prompt),
    "chat": (4, chat),
    "chat, streamed": (3, stream),
    "hung up in the prompt": (2, gone_in_prompt),
    "hung up in the stream": (2, gone_in_stream),
}
LOOKS: dict[str, tuple[int, Kind]] = {
    "health, metrics, models": (1, probe),
    "slots": (2, slots),
    "detokenize, tokenize": (1, tokenize),
}
