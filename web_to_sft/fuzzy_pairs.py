"""Pair crawled problems with high-quality ones: the paper's fuzzy match, exactly, without its N x M comparisons.

A web row pairs with the *first* high-quality row whose normalised question is equal, or differs from it by at most 5
characters (as multisets, both directions added) while its normalised solution is a subsequence of the web analysis.

Three exact reductions make that fast; none of them can lose a pair:
  - characters are summarised in 64 bits, one parity a class of characters: every added or removed character flips one
    bit, so questions within distance 5 have sketches within 5 bits; numpy compares a thousand million a second;
  - only lengths within 5 are compared, and a row stops at its first match, so thousands of look-alikes cost little;
  - where candidates are many (templates with other numbers), what the solution has the analysis must have: 192 bits of
    "digit a occurs before digit b" and "some character of class c occurs" dismiss most without looking at the text.
What is left is checked on the text itself.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Indel, JaroWinkler, Levenshtein

from common.errors import CommonError
from web_to_sft.normalizers import NORMALIZERS, normalise_paper, normalise_web_question

MAX_DISTANCE = 5  # of the paper: characters by which two questions may differ
BLOCK_COLUMNS = 1024
BLOCK_CELLS = 1 << 17  # sketches compared at a time: 1 MiB, so a block stays in cache
DENSE = 4  # candidates a row from which the order bits pay for themselves
CHUNK_ROWS = 10_000  # web rows handed to a worker process at a time
SCORERS = {  # and what each gives to equal texts
    "ratio": (fuzz.ratio, 100),
    "token_sort_ratio": (fuzz.token_sort_ratio, 100),
    "token_set_ratio": (fuzz.token_set_ratio, 100),
    "partial_ratio": (fuzz.partial_ratio, 100),
    "levenshtein": (Levenshtein.normalized_similarity, 1),
    "jaro_winkler": (JaroWinkler.normalized_similarity, 1),
}


class Match(NamedTuple):
    """What a web row found; `rejected` is a close high-quality question whose solution the analysis lacks.

    `score` is the distance of the paper's matcher, the similarity of rapidfuzz.
    """

    highquality: int | None
    score: float | None
    rejected: int | None = None


# --- what the texts are summarised in --------------------------------------------------------------------------------


def _characters(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """All characters of all texts as code points, and the length of each text."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, np.fromiter(map(len, texts), np.int64, len(texts))


def sketches(texts: Sequence[str]) -> np.ndarray:
    """64 parities a text: bit b says whether the number of characters of class b is odd."""
    codes, lengths = _characters(texts)
    # Fibonacci hashing spreads neighbouring code points (the digits, common characters) over the 64 classes.
    bits = np.left_shift(np.uint64(1), (codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58))
    result = np.zeros(len(texts), np.uint64)
    filled = np.flatnonzero(lengths)
    if len(filled):
        result[filled] = np.bitwise_xor.reduceat(bits, (np.cumsum(lengths) - lengths)[filled])
    return result


def order_bits(texts: Sequence[str]) -> np.ndarray:
    """(3, texts) words: 92 bits "class c occurs" (ten digits, 82 others), 100 bits "digit a occurs before digit b".

    A subsequence of a text has no bit that the text lacks.
    """
    codes, lengths = _characters(texts)
    text = np.repeat(np.arange(len(texts)), lengths)
    digit = (codes >= 48) & (codes < 58)
    bits = np.zeros((len(texts), 192), bool)
    bits[text, np.where(digit, codes - 48, 10 + codes % 82)] = True
    cells = text[digit] * 10 + codes[digit] - 48
    first, last = np.full(len(texts) * 10, len(codes)), np.full(len(texts) * 10, -1)
    np.minimum.at(first, cells, np.flatnonzero(digit))
    np.maximum.at(last, cells, np.flatnonzero(digit))
    bits[:, 92:] = (first.reshape(-1, 10, 1) < last.reshape(-1, 1, 10)).reshape(-1, 100)
    return np.packbits(bits, axis=1).view(np.uint64).T.copy()


def is_subsequence(short: str, long: str) -> bool:
    at = 0
    for character in short:
        at = long.find(character, at) + 1
        if not at:
            return False
    return True


def distance(question: str, other: str) -> int:
    """Size of the multiset difference of the characters, both directions; MAX_DISTANCE + 1 if larger than MAX_DISTANCE.

    The longest common subsequence of sorted texts is their common multiset, so an edit distance without substitution
    is this distance. Of the texts as they are, it is no less, and no distance is less than that of the lengths.
    """
    in_order = Indel.distance(question, other, score_cutoff=MAX_DISTANCE)
    if in_order == abs(len(question) - len(other)):
        return in_order
    return Indel.distance("".join(sorted(question)), "".join(sorted(other)), score_cutoff=MAX_DISTANCE)


# --- the index -------------------------------------------------------------------------------------------------------


class Index:
    """The high-quality side; `questions` and `solutions` are normalised texts.

    In the paper's rule an empty solution is part of every analysis and two empty questions are equal; `strict` matches
    on neither. `check_answers` asks for the solution even where the questions are equal.
    """

    def __init__(
        self, questions: Sequence[str], solutions: Sequence[str], strict: bool = False, check_answers: bool = False
    ) -> None:
        self.questions, self.solutions, self.strict = questions, solutions, strict
        usable = [
            i for i in range(len(questions)) if not strict or questions[i] and (solutions[i] or not check_answers)
        ]
        # Going backwards, the lowest index of equal questions, or of equal rows, is the one that stays.
        self.first_equal = {} if check_answers else {questions[i]: i for i in reversed(usable)}
        first_rows = {(questions[i], solutions[i]): i for i in reversed(usable) if solutions[i] or not strict}
        self.near = np.array(sorted(first_rows.values()), np.int64)
        self.lengths = np.array([len(questions[i]) for i in self.near], np.int64)
        self.sketches = sketches([questions[i] for i in self.near])
        self._windows: dict[int, np.ndarray] = {}
        self._order: np.ndarray | None = None

    def window(self, length: int) -> np.ndarray:
        """Places in `near` of the rows, lowest first, that a question of this length may pair with."""
        if length not in self._windows:
            self._windows[length] = np.flatnonzero(np.abs(self.lengths - length) <= MAX_DISTANCE)
        return self._windows[length]

    def order(self) -> np.ndarray:
        if self._order is None:
            self._order = order_bits([self.solutions[i] for i in self.near])
        return self._order


def match_first(
    index: Index, questions: Sequence[str], analyses: Sequence[str], normalise: Callable[[str], str] = normalise_paper
) -> list[Match]:
    """The first high-quality row of each web row. Questions come normalised; of the analyses few are ever looked at."""
    search = _Search(index, questions, analyses, normalise)
    lengths = np.fromiter(map(len, questions), np.int64, len(questions))
    by_length = np.argsort(lengths, kind="stable")
    for rows in np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1):
        if len(rows) and (lengths[rows[0]] or not index.strict):
            search.scan(rows, index.window(int(lengths[rows[0]])))
    return search.matches()


class _Search:
    """One call of match_first: the best row so far of each web row, and what is computed only when it is asked for."""

    def __init__(
        self, index: Index, questions: Sequence[str], analyses: Sequence[str], normalise: Callable[[str], str]
    ) -> None:
        self.index, self.questions, self.raw_analyses, self.normalise = index, questions, analyses, normalise
        self.none = len(index.questions)
        equal = (index.first_equal.get(question, self.none) for question in questions)
        self.best = np.fromiter(equal, np.int64, len(questions))
        self.distances = [0] * len(questions)
        self.candidate = np.full(len(questions), -1)
        self.sketches = sketches(questions)
        self._analyses: dict[int, str] = {}
        self._order = np.empty((3, len(questions)), np.uint64)
        self._has_order = np.zeros(len(questions), bool)

    def analysis(self, row: int) -> str:
        if row not in self._analyses:
            self._analyses[row] = self.normalise(self.raw_analyses[row])
        return self._analyses[row]

    def order(self, rows: np.ndarray) -> np.ndarray:
        fresh = rows[~self._has_order[rows]]
        if len(fresh):
            self._order[:, fresh] = order_bits([self.analysis(row) for row in fresh.tolist()])
            self._has_order[fresh] = True
        return self._order[:, rows]

    def scan(self, rows: np.ndarray, window: np.ndarray) -> None:
        """Web rows of one length. The window ascends, so a row is done once its best lies before the columns."""
        for start in range(0, len(window), BLOCK_COLUMNS):
            places = window[start : start + BLOCK_COLUMNS]
            open_rows = rows[self.best[rows] > self.index.near[places[0]]]
            height = BLOCK_CELLS // len(places)
            for top in range(0, len(open_rows), height):
                self.scan_block(open_rows[top : top + height], places)

    def scan_block(self, rows: np.ndarray, places: np.ndarray) -> None:
        columns = self.index.near[places]
        close = np.bitwise_count(self.sketches[rows, None] ^ self.index.sketches[places]) <= MAX_DISTANCE
        count = np.count_nonzero(close)
        if not count:
            return
        first = close.argmax(axis=1)
        new = close[np.arange(len(rows)), first] & (self.candidate[rows] < 0)
        self.candidate[rows[new]] = columns[first[new]]
        if count > DENSE * len(rows):
            for needed, present in zip(self.index.order(), self.order(rows), strict=True):
                close &= needed[places] & ~present[:, None] == 0
        hits = np.flatnonzero(close)
        for row, highquality in zip(
            rows[hits // len(columns)].tolist(), columns[hits % len(columns)].tolist(), strict=True
        ):
            self.check(row, highquality)

    def check(self, row: int, highquality: int) -> None:
        if highquality < self.best[row] and is_subsequence(self.index.solutions[highquality], self.analysis(row)):
            found = distance(self.questions[row], self.index.questions[highquality])
            if found <= MAX_DISTANCE:
                self.best[row], self.distances[row] = highquality, found

    def matches(self) -> list[Match]:
        return [
            Match(best, self.distances[row]) if best < self.none else self.unmatched(row, candidate)
            for row, (best, candidate) in enumerate(zip(self.best.tolist(), self.candidate.tolist(), strict=True))
        ]

    def unmatched(self, row: int, candidate: int) -> Match:
        if candidate >= 0:
            found = distance(self.questions[row], self.index.questions[candidate])
            if found <= MAX_DISTANCE:
                return Match(None, found, candidate)
        return Match(None, None)


# --- other domains: the most similar question ------------------------------------------------------------------------


def match_best(index: Index, questions: Sequence[str], scorer: str, score_cutoff: float) -> list[Match]:
    """The most similar high-quality question of each web row, the lowest index among equals; none below the cut-off.

    Similarity goes from 0 to 100 with every scorer.
    """
    similarity, top = SCORERS[scorer]
    matches = []
    for start in range(0, len(questions), 256):
        block = questions[start : start + 256]
        scores = process.cdist(block, index.questions, scorer=similarity, score_cutoff=score_cutoff * top / 100)
        scores *= 100 / top
        for question, row in zip(block, scores, strict=True):
            place = int(row.argmax()) if len(row) and (question or not index.strict) else None
            found = place is not None and row[place] > 0  # below the cut-off it is 0
            matches.append(Match(place, float(row[place])) if found else Match(None, None))
    return matches


# --- a whole crawl, on several processes -----------------------------------------------------------------------------

_job: dict = {}  # of this process: the index and the settings, sent once


def _start_worker(job: dict) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _job.update(job)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _match_chunk(rows: list[tuple[str, str]]) -> list[Match]:
    normalizer = _job["normalizer"]
    questions = [normalise_web_question(question, normalizer) for question, _ in rows]
    if _job["matcher"] == "rapidfuzz":
        return match_best(_job["index"], questions, _job["scorer"], _job["score_cutoff"])
    return match_first(_job["index"], questions, [analysis for _, analysis in rows], NORMALIZERS[normalizer])


def match_all(
    index: Index,
    web: Iterable[tuple[str, str]],
    normalizer: str = "paper",
    matcher: str = "paper",
    scorer: str = "ratio",
    score_cutoff: float = 90.0,
    num_workers: int = 1,
) -> Iterator[Match]:
    """Match (question, analysis) texts of any number, in their order; no more than a few chunks are in memory."""
    job = {"index": index, "normalizer": normalizer, "matcher": matcher, "scorer": scorer, "score_cutoff": score_cutoff}
    web = iter(web)
    chunks = iter(lambda: list(islice(web, CHUNK_ROWS)), [])
    first = list(islice(chunks, 2))
    if num_workers == 1 or len(first) < 2:
        _job.update(job)
        return chain.from_iterable(map(_match_chunk, chain(first, chunks)))
    return _match_on_processes(chain(first, chunks), job, num_workers)


def _match_on_processes(chunks: Iterator[list[tuple[str, str]]], job: dict, num_workers: int) -> Iterator[Match]:
    # Spawned, not forked: a worker must not inherit the lock of the output that its parent holds.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, initializer=_start_worker, initargs=(job,))
    try:
        waiting = deque(pool.submit(_match_chunk, chunk) for chunk in islice(chunks, num_workers + 1))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(_match_chunk, chunk) for chunk in islice(chunks, 1))
    except BrokenProcessPool:
        raise CommonError("a worker process died (out of memory?); try fewer --num_workers") from None
    finally:
        pool.shutdown(cancel_futures=True)
