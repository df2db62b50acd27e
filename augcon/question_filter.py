"""How alike two questions are, and which of a root's questions stay.

rouge_l(words("什么是茶？"), words("茶是什么？"))      # ROUGE-L F1 over jieba's words, the released code's doubles
kept, dropped = filter_ranked(questions, quota=14)    # the best first; nothing stays that nearly repeats a kept one
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from rapidfuzz.distance import LCSseq

from augcon.chinese_words import cut, jieba

THRESHOLD = 0.7

# Where the released measure cuts a text: it decides about runs of full stops and about blank lines, each of which is an
# empty word. Everything else is jieba's words without the blanks.
_CUTS = (
    (re.compile("([。！？?])([^”’])"), r"\1\n\2"),
    (re.compile(r"(\.{6})([^”’])"), r"\1\n\2"),
    (re.compile("(…{2})([^”’])"), r"\1\n\2"),
    (re.compile("([。！？?][”’])([^，。！？?])"), r"\1\n\2"),
)


def words(text: str) -> list[str]:
    if "\n" not in text and "......." not in text:
        return cut(text)
    joined = " ".join(jieba().lcut(text))
    for pattern, replacement in _CUTS:
        joined = pattern.sub(replacement, joined)
    pieces = (piece for piece in joined.rstrip().split("\n") if piece)
    return [word for piece in pieces for word in piece.split() or [""]]


def rouge_l(hypothesis: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
    """Recall, precision and F1 of the longest common subsequence of two lists of words."""
    _check(hypothesis, reference)
    common = LCSseq.similarity(hypothesis, reference)
    return dict(zip("rpf", _scores(common, len(hypothesis), len(reference)), strict=True))


def _check(hypothesis: Sequence[str] | int, reference: Sequence[str] | int) -> None:
    if not hypothesis:
        raise ValueError("Hypothesis is empty.")
    if not reference:
        raise ValueError("Reference is empty.")


def _scores(common: int, hypothesis: int, reference: int) -> tuple[float, float, float]:
    precision, recall = common / hypothesis, common / reference
    return recall, precision, 2 * (precision * recall / (precision + recall + 1e-8))


@cache
def _least_common(hypothesis: int, reference: int, threshold: float, measure: str) -> int:
    """The shortest common subsequence of so long questions that is too much: a measure above the threshold."""
    _check(hypothesis, reference)
    place, longest = "rpf".index(measure), min(hypothesis, reference)
    about = threshold * (reference, hypothesis, (hypothesis + reference) / 2)[place]  # but for the last digits
    candidates = range(max(0, math.floor(about) - 1), longest + 1)
    return next(
        (common for common in candidates if _scores(common, hypothesis, reference)[place] > threshold), longest + 1
    )


class Similar:
    """Whether a question nearly repeats one of those that were kept. Words are numbered and written as characters, so
    that one comparison is one bit-parallel LCS of two strings."""

    def __init__(self, threshold: float = THRESHOLD, measure: str = "f") -> None:
        self._threshold, self._measure = threshold, measure
        self._numbers: dict[str, str] = {}
        self._kept: list[str] = []

    def encode(self, text: str) -> str:
        numbers = self._numbers
        return "".join([numbers.setdefault(word, chr(len(numbers) + 1)) for word in words(text)])

    def repeats(self, question: str) -> int | None:
        """The place, among those kept, of the first one that the encoded question nearly repeats."""
        return self._first_alike(question, range(len(self._kept)))

    def _first_alike(self, question: str, places: Iterable[int]) -> int | None:
        size, threshold, measure, kept = len(question), self._threshold, self._measure, self._kept
        for place in places:
            other = kept[place]
            least = _least_common(size, len(other), threshold, measure)
            if least <= size and least <= len(other) and LCSseq.similarity(question, other, score_cutoff=least):
                return place
        return None

    def keep(self, question: str) -> None:
        self._kept.append(question)

    def has_alike(self, text: str) -> bool:
        return self.repeats(self.encode(text)) is not None

    def add(self, texts: Iterable[str]) -> None:
        for question in filter(None, map(self.encode, texts)):
            self.keep(question)


class SimilarAmongMany(Similar):
    """The same for many: a question is compared with those alone that share one of its late words. If two have so much
    in common that one repeats the other, they cannot differ in all of these; and words that were met late are rare."""

    def __init__(self, threshold: float = THRESHOLD, measure: str = "f") -> None:
        super().__init__(threshold, measure)
        self._by_word: dict[str, list[int]] = {}

    def _late_words(self, question: str) -> list[str]:
        counts: Counter[str] = Counter()
        words = []
        for word in question:
            counts[word] += 1
            words.append(word * counts[word])  # a word for the second time is another one
        return sorted(words, reverse=True)[
            : len(words) - _fewest_common(len(words), self._threshold, self._measure) + 1
        ]

    def repeats(self, question: str) -> int | None:
        places = {place for word in self._late_words(question) for place in self._by_word.get(word, ())}
        return self._first_alike(question, sorted(places))

    def keep(self, question: str) -> None:
        for word in self._late_words(question):
            self._by_word.setdefault(word, []).append(len(self._kept))
        super().keep(question)


@cache
def _fewest_common(size: int, threshold: float, measure: str) -> int:
    """Words that a question of this size has in common with any that it repeats, or that repeats it."""
    pairs = [pair for other in range(1, size + 1) for pair in ((size, other), (other, size))]
    needed = ((_least_common(*pair, threshold, measure), min(pair)) for pair in pairs)
    return min((least for least, most in needed if least <= most), default=size)


def released_filter(questions: Sequence[str], quota: int, threshold: float = THRESHOLD) -> list[int]:
    """The places of those kept. An empty question is a ValueError when it is compared; the quota is looked at after
    adding, so at least one is kept."""
    similar, kept = Similar(threshold), []
    for place, text in enumerate(questions):
        question = similar.encode(text)
        if similar.repeats(question) is not None:
            continue
        similar.keep(question)
        kept.append(place)
        if len(kept) >= quota:
            break
    return kept


def filter_ranked(
    questions: Sequence[str],
    quota: int,
    threshold: float = THRESHOLD,
    measure: str = "f",
    excluded: dict[str, Similar] | None = None,
) -> Iterator[tuple[int, str | None]]:
    """(place, None) for those kept, (place, why) for the others; never more than the quota are kept, and none that
    nearly repeats one of those that are `excluded` by any reason."""
    similar, kept = Similar(threshold, measure), 0
    for place, text in enumerate(questions):
        if kept >= quota:
            why = "beyond the quota"
        elif not (question := similar.encode(text)):
            why = "no words"
        elif similar.repeats(question) is not None:
            why = "nearly repeats a better one"
        else:
            why = next((why for why, those in (excluded or {}).items() if those.has_alike(text)), None)
            if why is None:
                similar.keep(question)
                kept += 1
        yield place, why


def similar_to(questions: Iterable[str], threshold: float = THRESHOLD, measure: str = "f") -> Similar:
    """What tells whether a question nearly repeats one of these."""
    similar = SimilarAmongMany(threshold, measure)
    similar.add(questions)
    return similar


def rank(scores: Sequence[float]) -> list[int]:
    """The best first; equal scores keep their order, what is not a number comes last."""
    return sorted(range(len(scores)), key=lambda place: (math.isnan(scores[place]), -scores[place]))
