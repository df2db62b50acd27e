"""Reasons not to take an answer, or not to train on a row: each function gives the reason, or None.

author_fault(author, page, template, lang, Guards())            # "author copies the page"
request_fault(request, page, template, limit, lang, Guards())   # "request asks for nothing"
response_fault(response, request, template, lang, Guards())     # "response repeats the request"
row_fault(request, response, page, lang, Guards())              # "response is in English, page in español"

The thresholds were set on what two small models wrote (README, "Guards").
"""

import re
from dataclasses import dataclass

from common.languages import NAMES, UNKNOWN, detect_language
from webr.forms import is_person, is_request

NGRAM = 8  # words in a row, or characters of Chinese and Japanese, whose share is what was copied
LEAST_DISTINCT = 0.6  # of the 3-grams of a text; of good ones, poems and tables too, 1 in 1,000 has less
FEW_GRAMS = 10  # fewer say nothing about that
AUTHOR_WORDS = 30  # what the prompt asks for; in Chinese, characters
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_LABEL = re.compile(r"^\[[^\]\n]{2,40}\]$", re.M)  # a line of a prompt that says what follows
_TRANSLATION = re.compile(  # a request that names a language may want its answer in that one
    r"translat|tradu[cz]|翻译|\b(?:english|chinese|spanish|portuguese|french|german|italian|dutch|latin)\b"
    r"|\b(?:inglés|español|francés|alemán|chino|inglês|espanhol|português|francês|alemão|chinês)\b|[英中法德意]文|[英汉法德]语",
    re.I,
)
_TURN = re.compile(r"<\|[^|>\s]{1,40}\|>|\[/?INST\]|<(?:start|end)_of_turn>")  # what chat templates are made of


@dataclass(frozen=True, slots=True)
class Guards:
    """What is asked of an answer; each can be turned off."""

    max_words: float = 1.5  # times the words that were asked for; 0: any length
    max_run: int = 12  # words in a row from page or prompt, in Chinese 20 characters; 0: any
    any_form: bool = False  # an author need not be a person, a request need not ask
    max_repeated: float = 0.8  # share of a response that stands in its request; 1: all
    keep_scaffolding: bool = False  # labels of the prompt, marks of a chat template
    any_language: bool = False
    max_copied: float = 0.8  # share of a response that stands in its page; 1: all
    min_request_chars: int = 10
    min_response_chars: int = 20
    max_response_chars: int = 0
    keep_refusals: bool = False


# ---------------------------------------------------------------- what the steps ask


def author_fault(author: str, page: str, template: str, lang: str, guards: Guards) -> str | None:
    return (
        _too_many_words("author", author, AUTHOR_WORDS, guards)
        or _from_the_prompt("author", author, page, template, guards)
        or _other_language("author", author, lang, guards)
        or (None if guards.any_form or is_person(author, lang) else "author is no person")
        or (None if guards.any_form or not repeats_itself(author) else "author repeats itself")
    )


def request_fault(request: str, page: str, template: str, limit: int, lang: str, guards: Guards) -> str | None:
    return (
        _too_many_words("request", request, limit, guards)
        or _from_the_prompt("request", request, page, template, guards)
        or _other_language("request", request, lang, guards)
        or (None if guards.any_form or is_request(request, lang) else "request asks for nothing")
        or (None if guards.any_form or not repeats_itself(request) else "request repeats itself")
    )


def response_fault(response: str, request: str, template: str, lang: str, guards: Guards) -> str | None:
    if guards.max_repeated < 1 and repeats(response, request, guards.max_repeated):
        return "response repeats the request"
    if guards.max_run and longest_run_reaches(response, template, guards.max_run):
        return "response repeats the prompt"
    if not guards.any_form and repeats_itself(response):
        return "response repeats itself"
    return _scaffolding("response", response, template, guards) or _response_language(response, request, lang, guards)


def row_fault(request: str, response: str, page: str, lang: str, guards: Guards) -> str | None:
    """The last look, at rows of any origin."""
    if guards.max_copied < 1 and copied_share(response, page) > guards.max_copied:
        copied = f"response copies the page (over {guards.max_copied:.0%} of its {NGRAM}-grams)"
    else:
        copied = None
    return (
        too_short_or_long("request", request, guards.min_request_chars, 0)
        or too_short_or_long("response", response, guards.min_response_chars, guards.max_response_chars)
        or _other_language("request", request, lang, guards)
        or _response_language(response, request, lang, guards)
        or copied
    )


# ---------------------------------------------------------------- one guard each


def _too_many_words(what: str, text: str, asked: int, guards: Guards) -> str | None:
    if guards.max_words and count_words(text) > guards.max_words * asked:
        return f"{what} is longer than asked"
    return None


def _from_the_prompt(what: str, text: str, page: str, template: str, guards: Guards) -> str | None:
    if guards.max_run and longest_run_reaches(text, page, guards.max_run):
        return f"{what} copies the page"
    if guards.max_run and longest_run_reaches(text, template, guards.max_run):
        return f"{what} repeats the prompt"
    return _scaffolding(what, text, template, guards)


def _scaffolding(what: str, text: str, template: str, guards: Guards) -> str | None:
    """Labels of the prompt, such as [End of page], or marks of a chat template."""
    if guards.keep_scaffolding:
        return None
    labels = _LABEL.findall(template)
    if _TURN.search(text) or any(label.lower() in text.lower() for label in labels):
        return f"{what} has labels of the prompt"
    return None


def _other_language(what: str, text: str, lang: str, guards: Guards) -> str | None:
    """A text whose language cannot be told (formulas, code, a name) passes."""
    if guards.any_language:
        return None
    found = detect_language(text)
    if UNKNOWN in (found, lang) or found == lang:
        return None
    return f"{what} is in {NAMES[found]}, page in {NAMES.get(lang, lang)}"


def _response_language(response: str, request: str, lang: str, guards: Guards) -> str | None:
    return None if _TRANSLATION.search(request) else _other_language("response", response, lang, guards)


def too_short_or_long(what: str, text: str, least: int, most: int) -> str | None:
    if len(text) + len(_HAN.findall(text)) < least:  # a Chinese character says as much as two letters
        return f"{what} shorter than {least} characters"
    if most and len(text) > most:
        return f"{what} longer than {most:,} characters"
    return None


# ---------------------------------------------------------------- counting


def tokens_of(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def count_words(text: str) -> int:
    """Words between spaces; of Chinese, characters."""
    return len(_HAN.sub(" ", text).split()) + len(_HAN.findall(text))


def longest_run_reaches(text: str, source: str, words: int) -> bool:
    """Whether so many words in a row of `text` stand in `source`; a character of Chinese is 3/5 of a word."""
    found = tokens_of(text)
    length = words * 5 // 3 if _mostly_han(found) else words
    return bool(_runs(found, length) & _runs(tokens_of(source), length))


def _mostly_han(tokens: list[str]) -> bool:
    return 2 * sum(_HAN.match(token) is not None for token in tokens) > len(tokens)


def _runs(tokens: list[str], length: int) -> set[tuple[str, ...]]:
    return set(zip(*(tokens[start:] for start in range(length)), strict=False))


def copied_share(text: str, source: str, n: int = NGRAM) -> float:
    """Share of the n-grams of `text` that stand in `source`; a text shorter than n words is one n-gram."""
    words = tokens_of(text)
    n = min(n, len(words))
    if n == 0:
        return 0.0
    known = _runs(tokens_of(source), n)
    grams = list(zip(*(words[start:] for start in range(n)), strict=False))
    return sum(gram in known for gram in grams) / len(grams)


def repeats(response: str, request: str, most: float) -> bool:
    """Whether a response is mostly made of its request. One of a few words may well be: "true or false?" """
    if len(tokens_of(response)) < NGRAM:
        return tokens_of(response) == tokens_of(request)
    return copied_share(response, request) > most


def repeats_itself(text: str) -> bool:
    """Whether it says the same three words over and over: a model that is stuck."""
    words = tokens_of(text)
    grams = list(zip(words, words[1:], words[2:], strict=False))
    return len(grams) >= FEW_GRAMS and len(set(grams)) < LEAST_DISTINCT * len(grams)
