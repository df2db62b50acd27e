"""Near-duplicates the obvious way: datasketch's MinHash and LSH, one row, one token, one pair at a time."""

from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH


def candidates(rows: Sequence[Sequence[int]], threshold: float = 0.7, num_perm: int = 128) -> list[set[int]]:
    """For each row the rows that share a band with it, itself included."""
    lsh = MinHashLSH(threshold=threshold, num_perm=num_perm)
    hashes = []
    for index, tokens in enumerate(rows):
        minhash = MinHash(num_perm=num_perm)
        for token in set(tokens):
            minhash.update(str(token).encode("utf8"))
        lsh.insert(index, minhash)
        hashes.append(minhash)
    return [set(lsh.query(minhash)) for minhash in hashes]


def as_released(rows: Sequence[Sequence[int]], threshold: float = 0.7, num_perm: int = 128) -> list[int]:
    """Each row asks for its candidates, and all of them but the lowest go."""
    repeats = [-1] * len(rows)
    for similar in candidates(rows, threshold, num_perm):
        for row in similar - {min(similar)}:
            repeats[row] = min(similar) if repeats[row] < 0 else min(repeats[row], min(similar))
    return repeats


def greedy(rows: Sequence[Sequence[int]], threshold: float = 0.7, num_perm: int = 128) -> list[int]:
    repeats: list[int] = []
    for index, similar in enumerate(candidates(rows, threshold, num_perm)):
        kept = sorted(other for other in similar if other < index and repeats[other] == -1)
        repeats.append(next((other for other in kept if jaccard(rows[index], rows[other]) >= threshold), -1))
    return repeats


def jaccard(first: Sequence[int], second: Sequence[int]) -> float:
    a, b = set(first), set(second)
    return len(a & b) / len(a | b) if a | b else 1.0
