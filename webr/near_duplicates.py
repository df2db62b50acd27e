"""Find near-duplicates among sets of token ids: MinHash with banding, each value as datasketch 2.0 has it, in numpy.

    find_near_duplicates([[5, 7, 9], [1, 2], [9, 7, 5, 5]])     # [-1, -1, 0]: row 2 repeats row 0, the others are kept

Two rows are candidates when the values of a band agree: 14 bands of 9 values for Jaccard 0.7 and 128 permutations.
Default: a candidate counts only if the true Jaccard similarity reaches the threshold, and only rows that are kept
can be repeated, so of a chain of neighbours every second one stays. `paper_exact`: each row asks for its candidates,
unverified, and all of these but the first go; so a row goes if any row, before or after it, has it and an earlier one
among its candidates.

Memory is linear: 8 bytes a band and row (112 at 0.7/128), in all about 400 a row at the peak, measured with 1,000,000
requests of 60 tokens of which 13 % repeat another; the tokens that verification needs wait in a temporary file.
"""

import hashlib
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice, pairwise

import numpy as np

ROWS_AT_ONCE = 8192  # rows read, hashed and banded together
COLUMNS_AT_ONCE = 512  # rows permuted together: 126 values of 4 bytes each stay in the processor's cache
PAIRS_AT_ONCE = 1024  # candidates of one row compared together
VOCABULARY = 1 << 24  # ids are looked up in a table as long as the largest one
WORD_IDS = 1 << 22  # two different words have the same id once in four million
NO_VALUE = np.uint32(2**32 - 1)  # a signature before its first token
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def find_near_duplicates(
    rows: Iterable[Sequence[int]], threshold: float = 0.7, num_perm: int = 128, paper_exact: bool = False
) -> np.ndarray:
    """For each row of token ids the index of the row it repeats, -1 if it is kept."""
    bands, width = band_shape(threshold, num_perm)
    multiplier, summand = (values[: bands * width, None] for values in permutations(num_perm))
    hashes = TokenHashes()
    keys, counts = [], []
    with tempfile.TemporaryFile() as spool:
        for chunk in _chunks(rows):
            tokens, count = distinct_tokens(chunk)
            keys.append(band_keys(signatures(hashes.of(tokens), count, multiplier, summand), bands))
            counts.append(count)
            if not paper_exact:
                spool.write(tokens.tobytes())
        if paper_exact:
            return _all_but_the_first_candidates(keys)
        spool.flush()
        sets = TokenSets(spool, np.concatenate(counts) if counts else np.zeros(0, np.int64), hashes.size)
        return _greedy(keys, sets, threshold)


def _chunks(rows: Iterable[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    rows = iter(rows)
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk


# ---------------------------------------------------------------- MinHash


@lru_cache
def band_shape(threshold: float, num_perm: int) -> tuple[int, int]:
    """(bands, values a band) with the least area of false candidates below and missed ones above the threshold."""
    nodes, weights = np.polynomial.legendre.leggauss(num_perm // 2 + 1)  # exact: the degree is at most num_perm
    below, above = threshold * (nodes + 1) / 2, threshold + (1 - threshold) * (nodes + 1) / 2
    errors = {}
    for width in range(1, num_perm + 1):
        bands = np.arange(1, num_perm // width + 1)
        # The chance that two rows of that similarity share no band, for every number of bands.
        below_apart = (1 - below**width) ** bands[:, None] @ weights * threshold / 2
        above_apart = (1 - above**width) ** bands[:, None] @ weights * (1 - threshold) / 2
        error = threshold - below_apart + above_apart
        errors |= {(band, width): value for band, value in zip(bands.tolist(), error.tolist(), strict=True)}
    return min(sorted(errors), key=errors.get)


def permutations(num_perm: int) -> tuple[np.ndarray, np.ndarray]:
    """h -> a * h + b modulo 2**32 with odd a: datasketch's scheme "affine32", its seed 1."""
    random = np.random.RandomState(1)
    multiplier = random.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multiplier, random.randint(0, 1 << 32, num_perm, dtype=np.uint32)


class TokenHashes:
    """First four bytes of the SHA-1 of a token id's decimal digits, mixed: computed once an id, then looked up."""

    def __init__(self) -> None:
        self._table = np.zeros(0, np.uint32)
        self._known = np.zeros(0, bool)

    @property
    def size(self) -> int:
        """More than the largest id seen."""
        return len(self._table)

    def of(self, tokens: np.ndarray) -> np.ndarray:
        if len(tokens) and tokens.max() >= self.size:
            more = max(2 * self.size, int(tokens.max()) + 1) - self.size
            self._table = np.concatenate([self._table, np.zeros(more, np.uint32)])
            self._known = np.concatenate([self._known, np.zeros(more, bool)])
        new = np.unique(tokens[~self._known[tokens]])
        digests = b"".join(hashlib.sha1(b"%d" % token).digest()[:4] for token in new.tolist())
        self._table[new] = mix(np.frombuffer(digests, "<u4").astype(np.uint32))
        self._known[new] = True
        return self._table[tokens]


def mix(values: np.ndarray) -> np.ndarray:
    """The last rounds of MurmurHash3, 32 bits wide."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def word_ids(text: str, run: int = 1) -> list[int]:
    """Ids of the runs of so many words, for texts that no tokenizer is at hand for; a Chinese character is a word."""
    words = _WORD.findall(text.lower())
    run = min(run, len(words)) or 1
    grams = zip(*(words[start:] for start in range(run)), strict=False)
    return [zlib.crc32(" ".join(gram).encode()) % WORD_IDS for gram in grams]


def distinct_tokens(rows: list[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(the distinct token ids of each row, one row after the other, how many each has)."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    pairs = np.fromiter(chain.from_iterable(rows), np.uint64, int(lengths.sum()))
    if len(pairs) and pairs.max() >= VOCABULARY:
        raise ValueError(f"token id {pairs.max()}: expected one below {VOCABULARY:,}")
    pairs |= np.repeat(np.arange(len(rows), dtype=np.uint64) << np.uint64(32), lengths)
    pairs.sort()
    new = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=new[1:])
    pairs = pairs[new]
    return pairs.astype(np.uint32), np.bincount(pairs >> np.uint64(32), minlength=len(rows))


def signatures(hashes: np.ndarray, counts: np.ndarray, multiplier: np.ndarray, summand: np.ndarray) -> np.ndarray:
    """(permutations, rows): the smallest permuted hash of each row. Rows of like length go together."""
    starts = np.cumsum(counts) - counts
    lowest = np.full((len(multiplier), len(counts)), NO_VALUE)
    by_length = np.argsort(counts, kind="stable")
    by_length = by_length[counts[by_length] > 0]
    for first in range(0, len(by_length), COLUMNS_AT_ONCE):
        rows = by_length[first : first + COLUMNS_AT_ONCE]
        start, last = starts[rows], counts[rows] - 1
        best = np.full((len(multiplier), len(rows)), NO_VALUE)
        permuted = np.empty_like(best)
        for position in range(last[-1] + 1):
            column = hashes[start + np.minimum(position, last)]  # a token seen again changes no minimum
            np.multiply(multiplier, column, out=permuted)
            permuted += summand
            np.minimum(best, permuted, out=best)
        lowest[:, rows] = best
    return lowest


def band_keys(lowest: np.ndarray, bands: int) -> np.ndarray:
    """(bands, rows): each band's values in one 64-bit hash; 1,000,000 rows meet by accident once in 10**6 runs."""
    values = lowest.reshape(bands, -1, lowest.shape[1])
    factors = np.random.RandomState(0).randint(0, 1 << 64, values.shape[1], dtype=np.uint64) | np.uint64(1)
    keys = np.zeros((bands, lowest.shape[1]), np.uint64)
    for place, factor in enumerate(factors):
        keys += values[:, place] * factor
    return keys


# ---------------------------------------------------------------- which rows go


def _all_but_the_first_candidates(keys: list[np.ndarray]) -> np.ndarray:
    """For each row the earliest candidate of any row that has it as a candidate."""
    first_candidate = np.arange(sum(chunk.shape[1] for chunk in keys))
    for order, new in _buckets(keys):
        first = order[np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))]
        first_candidate[order] = np.minimum(first_candidate[order], first)
    earliest = first_candidate.copy()
    for order, new in _buckets(keys):
        lowest = np.minimum.reduceat(first_candidate[order], np.flatnonzero(new))
        earliest[order] = np.minimum(earliest[order], lowest[np.cumsum(new) - 1])
    return np.where(earliest < np.arange(len(earliest)), earliest, -1)


def _buckets(keys: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each band (rows sorted by bucket and then by index, whether a new bucket begins there)."""
    for band in range(len(keys[0]) if keys else 0):
        key = np.concatenate([chunk[band] for chunk in keys])
        order = np.argsort(key, kind="stable")
        new = np.ones(len(key), bool)
        np.not_equal(key[order[1:]], key[order[:-1]], out=new[1:])
        yield order, new


class TokenSets:
    """The distinct token ids of all rows, in a file, and how many each row shares with others."""

    def __init__(self, file: object, counts: np.ndarray, vocabulary: int) -> None:
        self._ends = np.cumsum(counts)
        self._tokens = np.memmap(file, np.uint32, "r") if counts.sum() else np.zeros(0, np.uint32)
        self._marked = np.zeros(vocabulary, bool)

    def jaccard(self, row: int, others: np.ndarray) -> np.ndarray:
        """Similarity of one row to each of the others; two empty rows are equal."""
        starts = np.where(others > 0, self._ends[others - 1], 0)
        counts = self._ends[others] - starts
        own = self._tokens[self._ends[row - 1] if row else 0 : self._ends[row]]
        total = np.cumsum(counts)
        places = np.arange(total[-1]) + np.repeat(starts - (total - counts), counts)
        self._marked[own] = True
        hits = np.concatenate([[0], np.cumsum(self._marked[self._tokens[places]])])
        self._marked[own] = False
        shared = hits[total] - hits[total - counts]
        union = len(own) + counts - shared
        return np.where(union > 0, shared / np.maximum(union, 1), 1.0)


def _greedy(keys: list[np.ndarray], sets: TokenSets, threshold: float) -> np.ndarray:
    """In order, keep a row unless it repeats one kept before; it is said to repeat the first of those."""
    repeats = np.full(sum(chunk.shape[1] for chunk in keys), -1)
    rows, buckets = _shared_buckets(keys)
    kept_in: dict[int, list[int]] = {}
    cuts = [*np.flatnonzero(np.diff(rows, prepend=-1)).tolist(), len(rows)]
    for start, end in pairwise(cuts):
        row, own_buckets = int(rows[start]), buckets[start:end].tolist()
        candidates = sorted(set().union(*(kept_in[bucket] for bucket in own_buckets if bucket in kept_in)))
        repeats[row] = _first_similar(row, np.array(candidates, np.int64), sets, threshold)
        if repeats[row] < 0:
            for bucket in own_buckets:
                kept_in.setdefault(bucket, []).append(row)
    return repeats


def _first_similar(row: int, candidates: np.ndarray, sets: TokenSets, threshold: float) -> int:
    for first in range(0, len(candidates), PAIRS_AT_ONCE):
        some = candidates[first : first + PAIRS_AT_ONCE]
        similar = some[sets.jaccard(row, some) >= threshold]
        if len(similar):
            return int(similar[0])
    return -1


def _shared_buckets(keys: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(row, bucket) of every row that shares a bucket with another, sorted by row."""
    rows, buckets, seen = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], 0
    for order, new in _buckets(keys):
        shared = ~new
        shared[:-1] |= ~new[1:]
        rows.append(order[shared].astype(np.int32))
        buckets.append((np.cumsum(new[shared], dtype=np.int32) + seen).astype(np.int32))
        seen = int(buckets[-1][-1]) if len(buckets[-1]) else seen
    row, bucket = np.concatenate(rows), np.concatenate(buckets)
    by_row = np.argsort(row, kind="stable")
    return row[by_row], bucket[by_row]
