"""llama-server's API: its slots, and a completion of one token that may take as long as it likes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

from .seen import Api, Canary, Server, Slot

PATIENCE = 2.0
"""Seconds for an answer that costs llama-server a millisecond."""

LONGEST = 900.0
"""Seconds for a completion. Somebody else decides long before whether the server is dead; this ends the thread."""


def ask(server: Server, key: str) -> Api:
    try:
        status, body = _request(server, key, "GET", "/slots", None, PATIENCE)
    except TimeoutError:
        return Api("silent")
    except ConnectionRefusedError:
        return Api("refused")
    except (OSError, http.client.HTTPException):
        return Api("cut")
    if status == 503:
        return Api("loading")
    try:
        return Api("ready", slots(body)) if status == 200 else Api("closed")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Api("closed")  # of a version that shows them otherwise


def slots(body: bytes) -> tuple[Slot, ...]:
    """What /slots says; a key that a version does not have is no progress."""
    return tuple(_slot(each) for each in json.loads(body))


def _slot(each: dict[str, Any]) -> Slot:
    token = (each.get("next_token") or [{}])[0]
    return Slot(
        number=each["id"],
        busy=each.get("is_processing", False),
        task=each.get("id_task"),
        tokens=each.get("n_prompt_tokens", 0),
        prompt_done=each.get("n_prompt_tokens_processed", 0),
        decoded=token.get("n_decoded", 0),
        context=each.get("n_ctx", 0),
    )


class Birds:
    """Sends canaries, one at a time, to one process: what became of those to the one before says nothing of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.invocation = ""
        self.now = Canary()

    def of(self, invocation: str) -> Canary:
        """What is known of the canaries of this process."""
        if invocation != self.invocation:
            self.invocation, self.now = invocation, Canary()
        return self.now

    def send(self, key: str, slot: int) -> None:
        before = self.now
        self.now = sent = Canary(slot, time.monotonic(), True, before.answered, before.sick)
        try:
            threading.Thread(target=self._fly, args=(key, sent), daemon=True).start()
        except RuntimeError:  # no memory for a thread: none is on its way that could be missed
            self.now = before
            raise

    def _fly(self, key: str, sent: Canary) -> None:
        body = {"prompt": "a", "n_predict": 1, "cache_prompt": False, "id_slot": sent.slot, "temperature": 0}
        try:
            status, _ = _request(self.server, key, "POST", "/completion", body, LONGEST)
        except Exception:  # it ended, and its unit tells; or the request could not be made, which is not its fault
            status = 0
        answered = sent.answered + (status == 200)
        sick = sent.sick + 1 if status == 500 else 0
        if self.now is sent:
            self.now = Canary(sent.slot, sent.asked, False, answered, sick)


def _request(
    server: Server, key: str, method: str, path: str, body: dict[str, Any] | None, patience: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=patience)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
