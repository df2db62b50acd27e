"""What a server's response says: choices, models, an error and whose it is, a time to wait."""

import email.utils
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from common.redaction import redact

LONGEST_RETRY_AFTER = 300.0
NO_MONEY = {
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota_error",
    "arrearage",
}


class Unanswered(Exception):
    """One try failed. It says something about this `request`, about the `connection`, or the server's `load`; or it was
    `mixed up`: an answer came, but to another request."""

    def __init__(self, kind: str, detail: str, about: str = "request", retry_after: float = 0.0) -> None:
        self.kind, self.about, self.retry_after = kind, about, retry_after
        super().__init__(f"{kind}: {detail}" if detail else kind)


def parse_json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):  # RecursionError: thousands of brackets
        kind = "HTML" if payload.lstrip()[:1] == b"<" else "cut or broken JSON"
        raise Unanswered("APIResponseValidationError", f"{kind} with status 200") from None


def checked_choices(payload: Any) -> dict:
    """The payload, whose choices have texts and numbers that can be put in order."""
    try:
        for choice in payload["choices"]:
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            index = choice.get("index")
            if not isinstance(text, str | None) or not isinstance(index, int | None):
                raise TypeError
        payload["choices"][0]
    except (KeyError, TypeError, IndexError, AttributeError):
        raise Unanswered("APIResponseValidationError", f"no choices in {_shown(payload)}") from None
    return payload


def checked_models(payload: Any) -> dict[str, dict]:
    """What the server says of each model."""
    try:
        return {model["id"] + "": model for model in payload["data"]}
    except (KeyError, TypeError):
        raise Unanswered("APIResponseValidationError", f"no list of models in {_shown(payload)}") from None


def _shown(payload: Any) -> str:
    try:
        return redact(json.dumps(payload)[:200])
    except RecursionError:
        return "brackets in brackets"


def error_of(payload: bytes) -> tuple[str, bool]:
    """What the server said, and whether it is about money: quota or balance."""
    text = payload[:100_000].decode(errors="replace")
    codes: set[str] = set()
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            codes = {str(error.get(name)).lower() for name in ("code", "type")}
            error = error.get("message", text)
        text = str(error)
    except (ValueError, RecursionError):
        pass
    return redact(" ".join(text.split())[:500]), bool(codes & NO_MONEY)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, or a date; a server may ask for at most five minutes."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def target_of(response: aiohttp.ClientResponse) -> str:
    return redact(response.headers.get("Location", "")[:200])
