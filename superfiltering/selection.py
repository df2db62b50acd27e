"""Which rows to keep, given their scores; how much two selections or two scorers agree."""

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

Scores = Sequence[float | None]  # one a row; None or NaN: the row has no score


def best_first(scores: Scores, below: float = 1.0) -> list[int]:
    """Indices of the rows whose score is under the threshold, highest first; equal ones stay in data order.

    At 1 and above the prompt makes the answer harder to predict: the two do not belong together.
    """
    usable = [index for index, score in enumerate(scores) if score is not None and score < below]
    return sorted(usable, key=lambda index: -scores[index])


def select(scores: Scores, count: int, below: float = 1.0, groups: Sequence[Hashable] | None = None) -> list[int]:
    """The `count` best, or with groups as many of each group as its share of all rows."""
    ranked = best_first(scores, below)
    if groups is None:
        return ranked[:count]
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index in ranked:
        members[groups[index]].append(index)
    quotas = shares(groups, count)
    chosen = {index for group, quota in quotas.items() for index in members[group][:quota]}
    return [index for index in ranked if index in chosen]


def shares(groups: Sequence[Hashable], count: int) -> dict[Hashable, int]:
    """`count` divided in proportion to the groups' sizes; what rounding leaves goes to the largest remainders."""
    sizes: dict[Hashable, int] = defaultdict(int)
    for group in groups:
        sizes[group] += 1
    exact = {group: count * size / len(groups) for group, size in sizes.items()}
    quotas = {group: int(share) for group, share in exact.items()}
    by_remainder = sorted(exact, key=lambda group: quotas[group] - exact[group])
    for group in by_remainder[: count - sum(quotas.values())]:
        quotas[group] += 1
    return quotas


def random_rows(total: int, count: int, seed: int) -> list[int]:
    """The baseline that every comparison needs."""
    return random.Random(seed).sample(range(total), min(count, total))


def spearman(first: Scores, second: Scores) -> float:
    """Rank correlation over the rows that both have scored; equal scores share their mean rank."""
    from scipy.stats import rankdata

    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None and a == a and b == b]
    if len(both) < 2:
        return float("nan")
    ranks = [rankdata(column) for column in zip(*both, strict=True)]
    return float(np.corrcoef(*ranks)[0, 1])


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Jaccard: rows that both selections hold, of the rows that either holds."""
    union = set(first) | set(second)
    return len(set(first) & set(second)) / len(union) if union else 1.0


def shared(first: Sequence[int], second: Sequence[int]) -> float:
    """The part of the first selection that the second holds too."""
    return len(set(first) & set(second)) / len(first) if first else 1.0
