"""Serves, and who may reach them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from inventory.spec.language.base import Spec
from inventory.spec.language.fields import Address, Clients, KeyFile, Name, ServicePort, Size, Text, rule, words_apart
from inventory.spec.language.nodes import Backend

_OURS = (
    *("--api-key", "--api-key-file", "--host", "--port", "--model", "-m", "--rpc", "--alias", "-a"),
    *("--ctx-size", "-c", "--parallel", "-np", "--hf-token", "-hft"),
    *("--hf-repo", "-hf", "-hfr", "--model-url", "-mu", "--models-dir"),
)
"""They follow from other fields; a key among them would be a secret in the file."""

_REFUSED = {
    **dict.fromkeys(_OURS, "is halofleet's to set; leave it out"),
    # Every question for its slots keeps a llama-server awake, or wakes it and so loads its model again.
    "--sleep-idle-seconds": "cannot be: the guard asks the server every 2 s, which keeps it awake or wakes it; "
    "leave it out",
}
"""Flags of llama-server that `extra` cannot have, and why."""


def _not_refused(word: str) -> str:
    flag = re.split("[= ]", word, maxsplit=1)[0].replace("_", "-")  # llama.cpp takes either
    if flag in _REFUSED:
        raise rule(_REFUSED[flag])
    return words_apart(word)


class Serve(Spec):
    """One model served: a controller runs llama-server, the workers lend their backend."""

    model: Annotated[Name, Field(examples=["kimi"])]
    """One of `models`."""
    controller: Annotated[Name, Field(examples=["halo1"])]
    """The node that runs llama-server and answers the API. The weights lie on its disk."""
    workers: Annotated[tuple[Name, ...], Field(examples=[["halo2", "halo3"]])] = ()
    """At most 16, in the order in which they get layers. The controller computes too, and is not listed."""
    port: Annotated[ServicePort, Field(examples=[8081])] = 8080
    """Of the API. Two serves on one controller need two."""
    bind: Annotated[Address | None, Field(examples=["127.0.0.1"])] = None
    """Where the API listens: the controller's management address (left out), 127.0.0.1 or 0.0.0.0."""
    rpc_port: Annotated[ServicePort, Field(examples=[50053])] = 50052
    """On which every worker's RPC server listens, on its link only."""
    backend: Annotated[Backend | None, Field(examples=["rocm"])] = None
    """What its nodes compute by for this serve. Left out: what each node's own `backend` says. A node that computes for
    two serves by two backends has both, side by side."""
    context: Annotated[int, Field(ge=256, le=2**31 - 1, examples=[32768])] = 4096
    """Tokens (`--ctx-size`), for all slots together. A slot can have no more than the model was trained on."""
    slots: Annotated[int | None, Field(ge=1, le=256, examples=[2])] = None
    """Requests that are answered at the same time (`--parallel`); each slot has its equal part of `context`. Left out:
    llama-server's own choice, 4 at 0c1e57098, which share all of it."""
    cache: Annotated[Size | None, Field(examples=["50GiB"])] = None
    """What each worker may keep on its disk of the weights that it was sent (ggml-rpc-server's `--cache`), so that the
    next load need not send them again. Left out: nothing, because on a link of 10 Gbit/s or more it hardly pays: the
    controller still reads and hashes all of the model. By calculation a third of a load is saved at 10 Gbit/s, 70 % at
    2.5 (bench/README.md). Every piece is checked before it is given out, and what was unused for longest goes first."""
    api_key_file: Annotated[KeyFile | None, Field(examples=["~/.config/chat.key"])] = None
    """A file on the control machine that holds the API key. Left out: the controller makes one, and the control machine
    keeps a copy. A key in this file itself is refused."""
    extra: Annotated[
        tuple[Annotated[Text, AfterValidator(_not_refused)], ...], Field(examples=[["--flash-attn", "on"]])
    ] = ()
    """More flags for llama-server, as they are, a word an entry. Those that other fields set are refused, and
    `--sleep-idle-seconds`, because the guard keeps a server awake."""


class Firewall(Spec):
    """Who may reach what. RPC ports have no field: a controller's link is the only way in."""

    api: Annotated[tuple[Clients, ...] | None, Field(examples=[["192.168.1.0/24", "10.8.0.0/24"]])] = None
    """The networks from which the API may be reached. Left out: the management network."""
