"""Requests and answers, their form on the wire and in the store, and the key under which an answer is stored."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from common.llm.options import SAMPLING
from common.redaction import hide_known

OPTIONS = (*SAMPLING, "logprobs", "top_logprobs")


@dataclass(slots=True)
class Request:
    """Messages for a chat, or a prompt for a plain completion. What is None comes from the command line."""

    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | str | None = None
    seed: int | None = None
    n: int | None = None
    response_format: dict | None = None
    extra_body: dict | None = None
    logprobs: bool | int | None = None  # True for a chat; of a completion, for how many tokens
    top_logprobs: int | None = None


@dataclass(slots=True)
class Answer:
    """`n` texts, why each ended, and the tokens they took (0 where the server does not say)."""

    texts: list[str]
    finish_reasons: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprobs: list[dict | None] = field(default_factory=list)  # of each text as the server gave them, if asked for

    @property
    def text(self) -> str:
        return self.texts[0]

    @property
    def finish_reason(self) -> str:
        return self.finish_reasons[0]


Ask = Callable[..., Awaitable[Answer]]  # await ask(request, sample=0)


def request_body(request: Request, model: str | None, sampling: dict) -> tuple[dict, int]:
    """What determines the answer, and how many answers are wanted."""
    options = sampling | {name: value for name in OPTIONS if (value := getattr(request, name)) is not None}
    count = options.pop("n", 1)
    options |= options.pop("extra_body", {})
    if request.messages is not None:
        return {"model": model, "messages": request.messages, **options}, count
    return {"model": model, "prompt": request.prompt, **options}, count


def path_of(body: dict) -> str:
    return "/chat/completions" if "messages" in body else "/completions"


_ENCODE_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def canonical(body: dict) -> bytes:
    return _ENCODE_SORTED(body).encode()


def answer_key(canonical_body: bytes, sample: int, identity: str = "") -> bytes:
    """`identity` tells models of the same name apart: see `identity.py`."""
    digest = hashlib.blake2b(canonical_body, digest_size=16, salt=sample.to_bytes(8, "big"))
    digest.update(identity.encode())
    return digest.digest()


def texts_of(payload: dict, body: dict) -> list[dict]:
    """The stored form of a response: one dict a text. The tokens of the response are noted on the first."""
    stops = [] if body.get("include_stop_str_in_output") else body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    texts = []
    for choice in sorted(payload["choices"], key=lambda choice: choice.get("index") or 0):
        text = (choice["message"]["content"] if "message" in choice else choice["text"]) or ""
        reason = choice.get("finish_reason")
        reason = reason if reason in ("stop", "length") else hide_known(reason) if isinstance(reason, str) else ""
        for stop in stops:  # a server may leave the stop text in, or not know stops at all
            if stop in text:
                text, reason = text[: text.index(stop)], "stop"
        texts.append({"text": hide_known(text), "finish_reason": reason})
        if body.get("logprobs"):
            texts[-1]["logprobs"] = choice.get("logprobs")
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    texts[0] |= {"in": _count(usage.get("prompt_tokens")), "out": _count(usage.get("completion_tokens"))}
    return texts


def _count(value: Any) -> int:
    """Tokens, as far as a server says something sensible."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def is_stored_text(stored: dict) -> bool:
    """Whether it can be what `texts_of` made."""
    texts = isinstance(stored.get("text"), str) and isinstance(stored.get("finish_reason"), str)
    return texts and all(type(stored.get(kind, 0)) is int for kind in ("in", "out"))


def answer_of(texts: list[dict]) -> Answer:
    tokens = {"in": 0, "out": 0}
    add_tokens(tokens, texts)
    return Answer(
        [text["text"] for text in texts],
        [text["finish_reason"] for text in texts],
        tokens["in"],
        tokens["out"],
        [text.get("logprobs") for text in texts] if any(["logprobs" in text for text in texts]) else [],
    )


def add_tokens(total: dict[str, int], texts: list[dict]) -> None:
    for text in texts:
        total["in"] += text.get("in", 0)
        total["out"] += text.get("out", 0)
