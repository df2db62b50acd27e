"""Reasons not to train on a request and its response: each function gives the reason, or None.

find_fault(request, response, page, lang, Limits())        # "response is in English, page in español"
"""

import re
from dataclasses import dataclass

from common.languages import NAMES, UNKNOWN, detect_language

NGRAM = 8  # words in a row, or characters of Chinese and Japanese, that count as copied
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(slots=True)
class Limits:
    """What is asked of a row; each can be turned off: False, 1, 0, 0, 0."""

    same_language: bool = True
    max_copied: float = 0.8
    min_request_chars: int = 10
    min_response_chars: int = 20
    max_response_chars: int = 0
    keep_refusals: bool = False


def find_fault(request: str, response: str, page: str, lang: str, limits: Limits) -> str | None:
    return (
        too_short_or_long("request", request, limits.min_request_chars, 0)
        or too_short_or_long("response", response, limits.min_response_chars, limits.max_response_chars)
        or (other_language("request", request, lang) if limits.same_language else None)
        or (other_language("response", response, lang) if limits.same_language else None)
        or copied(response, page, limits.max_copied)
    )


def too_short_or_long(what: str, text: str, least: int, most: int) -> str | None:
    if len(text) + len(_HAN.findall(text)) < least:  # a Chinese character says as much as two letters
        return f"{what} shorter than {least} characters"
    if most and len(text) > most:
        return f"{what} longer than {most:,} characters"
    return None


def other_language(what: str, text: str, lang: str) -> str | None:
    """A text whose language cannot be told (formulas, code, a name) passes."""
    found = detect_language(text)
    if UNKNOWN in (found, lang) or found == lang:
        return None
    return f"{what} is in {NAMES[found]}, page in {NAMES.get(lang, lang)}"


def copied(response: str, page: str, most: float) -> str | None:
    if most < 1 and copied_share(response, page) > most:
        return f"response copies the page (over {most:.0%} of its {NGRAM}-grams)"
    return None


def copied_share(text: str, source: str, n: int = NGRAM) -> float:
    """Share of the n-grams of `text` that stand in `source`; a text shorter than n words is one n-gram."""
    words, known = _TOKEN.findall(text.lower()), _TOKEN.findall(source.lower())
    n = min(n, len(words))
    if n == 0:
        return 0.0
    in_source = set(zip(*(known[start:] for start in range(n)), strict=False))
    grams = list(zip(*(words[start:] for start in range(n)), strict=False))
    return sum(gram in in_source for gram in grams) / len(grams)
