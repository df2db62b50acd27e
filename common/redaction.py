"""Keep secrets out of everything that is written: logs, manifests, rejected rows, reports.

Keys are taken from the environment, but people paste them anyway: into a flag, a URL, a JSON body; and servers echo
them. What is known to be a secret (the API key, passwords in URLs) is replaced wherever it stands; what only looks like
one is replaced behind the name of a key.
"""

import json
import os
import re
from typing import Any
from urllib.parse import quote, unquote

SHORTEST = 6  # characters; servers that want no key are given words like EMPTY or none, which stand in ordinary text
HIDDEN = "***"

# What a key is called: api_key, OPENAI_API_KEY, hf_token, x-secret, sig; not prompt_key, max_tokens.
_NAMES = r"(?:(?:api|access|secret|private|auth)[_-]?key|token|secret|password|passwd|authorization|bearer|signature)"
_IN_URL = r"[?&](?:key|sig)"
# With or without a scheme, and the password may hold an @ itself.
_URL_PASSWORD = re.compile(r"(?:(?<=://)|(?<![\w/@:.-]))([\w.%+-]*):([^\s/\"']+)@(?=[\w.\[-])")
_WELL_KNOWN = re.compile(r"\b(?:sk-[\w-]{16,}|hf_[a-zA-Z0-9]{16,})")
_NAMED = re.compile(rf"(?i)((?:{_NAMES}|{_IN_URL})[\"']?\s*[=:]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s\"'&]+")
_URL_USER = re.compile(r"(https?://)[^/\s\"']+@")  # to the last @: the password may hold one
_known: set[str] = set()


def remember_secret(text: str) -> None:
    """From now on this text is replaced wherever it stands, in the spellings that JSON and URLs give it as well."""
    text = text.strip()
    if len(text) >= SHORTEST:
        _known.update({text, json.dumps(text)[1:-1], quote(text, safe=""), unquote(text)})


def hide_known(text: str) -> str:
    """The text without the secrets that are known; nothing else is touched, so this is safe for data."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if key not in _known:
        remember_secret(key)
    for secret in sorted(_known, key=len, reverse=True) if len(_known) > 1 else _known:
        text = text.replace(secret, HIDDEN)
    return text


def redact(text: str) -> str:
    """The text without known secrets, and without what looks like one."""
    text = hide_known(text)
    text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
    text = _URL_PASSWORD.sub(f"{HIDDEN}@", text)
    text = _WELL_KNOWN.sub(HIDDEN, text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)


def without_secrets(value: Any, name: str = "") -> Any:
    """A JSON value, redacted; a text under the name of a key is hidden whole."""
    if isinstance(value, dict):
        return {key: without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name) for inner in value]
    if isinstance(value, str):
        return HIDDEN if re.search(rf"(?:{_NAMES}|^key|^sig)$", name, re.I) else redact(value)
    return value


def without_secret_flags(words: list[str]) -> list[str]:
    """A command line, redacted."""
    flags = ["", *(word.lstrip("-") if word.startswith("--") else "" for word in words)]
    return [without_secrets(word, flag) for word, flag in zip(words, flags[:-1], strict=True)]
