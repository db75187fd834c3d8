"""llama-server asked as a user of its API would."""

from __future__ import annotations

from typing import Any

import requests

from roles.llama_server import keys
from roles.llama_server.plan import LlamaServer

COMPLETION_SECONDS = 120


def _session() -> requests.Session:
    """The node itself: a proxy that the environment names for the outside world knows nothing of it."""
    session = requests.Session()
    session.trust_env = False
    return session


def health(end: str) -> int | None:
    """The status of /health: 503 while it loads, 200 when it is ready; None where nobody answers. end: ADDRESS:PORT."""
    try:
        return _session().get(f"http://{end}/health", timeout=5).status_code
    except requests.RequestException:
        return None


def completion(server: LlamaServer, end: str, *, with_key: bool) -> tuple[int, int]:
    """(HTTP status, completion tokens) of one small chat completion; status 0 where nobody answers."""
    body: dict[str, Any] = {"model": server.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    headers = {"Authorization": f"Bearer {keys.key(server)}"} if with_key else {}
    try:
        url = f"http://{end}/v1/chat/completions"
        answer = _session().post(url, json=body, headers=headers, timeout=COMPLETION_SECONDS)
    except requests.RequestException:
        return 0, 0
    tokens = answer.json().get("usage", {}).get("completion_tokens", 0) if answer.status_code == 200 else 0
    return answer.status_code, tokens
