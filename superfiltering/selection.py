"""Which rows to keep, given their scores; how much two selections or two scorers agree."""

import math
import random
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from common.errors import BadValue
from common.rows import rows_at

Scores = Sequence[float | None]  # one a row; None or NaN: the row has no score


# ---------------------------------------------------------------- rows


def score_of(row: dict, key: str, paper_exact: bool = False) -> float:
    """NaN where the row has none. As released, what is no number is no score."""
    score = row.get(key)
    if isinstance(score, int | float):
        return float(score)
    if key not in row or (score is not None and not paper_exact):
        raise BadValue(f"no number in {key!r}; run step 2, or name another --key_name")
    return math.nan


def length_of(row: dict) -> int:
    """Characters of all answers: what a selection by length alone goes by."""
    if isinstance(row.get("output"), str):
        return len(row["output"])
    turns = row.get("messages") or row.get("conversations") or []
    return sum(
        len(turn.get("content") or turn.get("value") or "")
        for turn in turns
        if turn.get("role", turn.get("from")) in ("assistant", "gpt")
    )


def rows_in_order(data_path: str, places: Sequence[int], split: str | None = None) -> list[dict]:
    """The rows at those places, in that order; only they are held in memory."""
    rows = rows_at(data_path, places, split, allow_nan=True)
    return [rows[place] for place in places]


# ---------------------------------------------------------------- by score


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


def difficult_rows(scores: Scores, count: int, lower: float, upper: float) -> list[int]:
    """Of those below `upper` (0: of all) the `count` highest first; with a count of 0 all above `lower` as they stand.

    As released: a count leaves `lower` out of account, and rows without a score come last where there is no bound.
    """
    numbers = [math.nan if score is None else score for score in scores]
    usable = [index for index, score in enumerate(numbers) if not upper or score < upper]
    if not count:
        return [index for index in usable if numbers[index] > lower]
    return sorted(usable, key=lambda index: (math.isnan(numbers[index]), -numbers[index]))[:count]


# ---------------------------------------------------------------- baselines


def random_rows(total: int, count: int, seed: int) -> list[int]:
    """The baseline that every comparison needs."""
    return random.Random(seed).sample(range(total), min(count, total))


def longest_rows(lengths: Sequence[int], count: int) -> list[int]:
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])[:count]


# ---------------------------------------------------------------- agreement


def spearman(first: Scores, second: Scores) -> float:
    """Rank correlation over the rows that both have scored; NaN where there is none, as of constant scores."""
    from scipy.stats import spearmanr

    columns = np.array([first, second], dtype=float)
    both = columns[:, ~np.isnan(columns).any(0)]
    if both.shape[1] < 2 or (both == both[:, :1]).all(1).any():
        return math.nan
    return float(spearmanr(*both).statistic)


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Jaccard: rows that both selections hold, of the rows that either holds."""
    union = set(first) | set(second)
    return len(set(first) & set(second)) / len(union) if union else 1.0


def shared(first: Sequence[int], second: Sequence[int]) -> float:
    """The part of the first selection that the second holds too."""
    return len(set(first) & set(second)) / len(first) if first else 1.0
