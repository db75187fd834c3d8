"""What nobody should send to llama-server's API: bodies by hypothesis, and what is no HTTP."""

from __future__ import annotations

import json

from hypothesis import strategies as st

COMPLETIONS = ("/completion", "/v1/completions", "/v1/chat/completions")
CHATS = ("/apply-template", "/v1/messages", "/v1/responses", "/infill")
OTHERS = (
    "/tokenize", "/detokenize", "/embedding", "/v1/embeddings", "/rerank", "/slots", "/slots/0?action=erase", "/props",
    "/lora-adapters", "/v1/models", "/metrics", "/health", "/v1/audio/transcriptions",
    "/no/such/path", "/..%2f..%2fetc",
)  # fmt: skip
PATHS = (*COMPLETIONS * 4, *CHATS * 2, *OTHERS)
METHODS = (*["POST"] * 9, "GET", "PUT", "DELETE", "PATCH", "BREW")


def nested(depth: int, opening: str = "[", closing: str = "]", inner: str = "") -> str:
    return opening * depth + inner + closing * depth


HUGE = st.sampled_from([-1, 0, 2**31, -(2**31), 2**63, -(2**63), 2**64, 10**30, 1e308, -1e-308, 0.5])
LEAVES = st.one_of(st.none(), st.booleans(), HUGE, st.text(max_size=20), st.just("x" * 5000), st.just("\ud800"))
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FEW = st.sampled_from([0, 1, 2, 3, -2, 2**31, 2**64, "3", [], {}, True, 1.5])
"""Tokens to predict: what is a legal wish for thousands is left out, for it is no garbage and takes its time."""
TEXTS = st.one_of(st.text(max_size=40), ANY, st.lists(st.integers(-5, 40000) | st.text(max_size=5), max_size=6))
FIELDS = (
    "n", "id_slot", "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "seed",
    "mirostat", "mirostat_tau", "dry_multiplier", "dry_base", "dry_sequence_breakers", "xtc_probability", "n_probs",
    "logit_bias", "samplers", "stop", "stream", "grammar", "json_schema", "response_format", "tools", "tool_choice",
    "lora", "n_keep", "n_discard", "n_indent", "cache_prompt", "return_tokens", "post_sampling_probs", "input_prefix",
    "input_suffix", "input_extra", "chat_template_kwargs", "reasoning_format", "content", "tokens", "input", "query",
    "documents", "model", "t_max_predict_ms", "image_data", "speculative.n_max", "encoding_format", "add_special",
)  # fmt: skip
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant", "tool"]) | ANY, "content": TEXTS}),
    max_size=3,
)
PLAIN = {"n_predict": 2, "max_tokens": 2, "prompt": "a", "messages": [{"role": "user", "content": "a"}], "input": "a"}
PLAIN |= {"content": "a", "tokens": [1000], "query": "a", "documents": ["a"]}
WRONG = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), HUGE | ANY, min_size=1, max_size=3),
    st.fixed_dictionaries(
        {}, optional={"n_predict": FEW, "max_tokens": FEW, "prompt": TEXTS, "messages": MESSAGES | ANY}
    ),
)
FORMS = WRONG.map(lambda wrong: PLAIN | wrong)
"""What could be asked, with a few things wrong: llama-server stops at the first that it does not like."""


def _encoded(found: object) -> bytes:
    return json.dumps(found, ensure_ascii=True).encode()


BODIES = st.one_of(
    FORMS.map(_encoded),
    FORMS.map(_encoded),
    FORMS.map(_encoded),
    ANY.map(_encoded),
    st.binary(max_size=200),
    FORMS.map(lambda found: json.dumps(found).encode("utf-16")),
    FORMS.map(lambda found: _encoded(found)[:-1]),
    st.integers(1, 2000).map(lambda depth: f'{{"n_predict": 1, "prompt": {nested(depth)}}}'.encode()),
)

HEAD = "POST /completion HTTP/1.1\r\nHost: a\r\n{key}Content-Type: application/json\r\n"
BROKEN = {
    "no words": "\r\n\r\n",
    "no version": "GET\r\n\r\n",
    "another version": "GET /slots HTTP/9.9\r\n{key}\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "zeros": "\0" * 5000,
    "a long line": "GET /" + "a" * 100_000 + " HTTP/1.1\r\n{key}\r\n",
    "many headers": "GET /slots HTTP/1.1\r\n{key}" + "a: b\r\n" * 5000 + "\r\n",
    "huge length": HEAD + "Content-Length: 9223372036854775807\r\n\r\n{",
    "longer than a number": HEAD + "Content-Length: 99999999999999999999999\r\n\r\n{",
    "negative length": HEAD + "Content-Length: -1\r\n\r\n{}",
    "two lengths": HEAD + "Content-Length: 2\r\nContent-Length: 200000\r\n\r\n{}",
    "half a body": HEAD + 'Content-Length: 4000\r\n\r\n{"prompt": "',
    "broken chunks": HEAD + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a huge chunk": HEAD + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n",
    "no gzip": HEAD + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "no multipart": "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\n{key}"
    "Content-Type: multipart/form-data; boundary=\r\nContent-Length: 9\r\n\r\n--\r\n\r\n--\r\n",
    "a range": "GET /metrics HTTP/1.1\r\nHost: a\r\n{key}Range: bytes=9-1,-,99999999999999999999-\r\n\r\n",
    "half a head": "POST /completion HTTP/1.1\r\nHost: a\r\n{key}X",
}
"""Sent, and hung up where no answer comes."""

ASKED = '{"n_predict": 1, "prompt": "a", "messages": [{"role": "user", "content": "a"}], '
DEEP = {
    "grammar": ("/completion", '"grammar": "root ::= ' + nested(100_000, "(", ")", "'a'") + '"'),
    "schema": ("/completion", '"json_schema": ' + nested(50_000, '{"items":', "}", "{}")),
    "arguments": ("/apply-template", '"chat_template_kwargs": {"a": ' + nested(200_000) + "}"),
}
"""What follows ASKED: nesting that runs llama-server (0c1e57098) out of its stack. The least that did: 20,000 brackets
in a grammar, 10,000 levels of a schema, 53,000 brackets in the arguments of a template."""
