"""Which rated texts train the head and which are held out: by class, in the released code's order.

train, test = released_split([2, 1, 1, 4, ...])      # row numbers; 5 % of the rows, 42 is its seed
train, test = split(classes, texts)                  # the same where it works; small classes and repeated texts too
"""

import math
from collections.abc import Sequence

import numpy as np

from common.errors import BadInput

TRAIN_SHARE, SEED = 0.95, 42


def released_split(classes: Sequence[int], seed: int = SEED) -> tuple[list[int], list[int]]:
    present, counts = np.unique(classes, return_counts=True)
    n_train = math.floor(TRAIN_SHARE * len(classes))
    n_test = len(classes) - n_train
    if not len(classes) or counts.min() < 2:  # the texts of `datasets`, where the released run ends
        raise BadInput(
            f"The least populated class in score column has only {counts.min() if len(counts) else 0} member, which is"
            " too few. The minimum number of groups for any class cannot be less than 2."
        )
    if n_test < len(present):
        raise BadInput(f"The test_size = {n_test} should be greater or equal to the number of classes = {len(present)}")
    rng = np.random.default_rng(seed)
    to_train = _quota(counts, n_train, rng)
    to_test = _quota(counts - to_train, n_test, rng)
    return _draw(classes, present, to_train, to_test, rng)


def split(
    classes: Sequence[int], texts: Sequence[str], test_share: float = 1 - TRAIN_SHARE, seed: int = SEED
) -> tuple[list[int], list[int], dict[str, int]]:
    """(train, test, counts). A class with one row trains; one with more has at least one row held out. Copies of a
    held-out text do not train."""
    present, counts = np.unique(classes, return_counts=True)
    n_train = math.floor(round((1 - test_share) * len(classes), 9))
    rng = np.random.default_rng(seed)
    to_train = _quota(counts, n_train, rng)
    to_test = _quota(counts - to_train, len(classes) - n_train, rng)
    lonely = (to_test == 0) & (counts > 1)
    to_train, to_test = to_train - (lonely & (to_train == counts)), to_test + lonely
    to_train, to_test = np.where(counts == 1, 1, to_train), np.where(counts == 1, 0, to_test)
    train, test = _draw(classes, present, to_train, to_test, rng)
    held_out = {texts[row] for row in test}
    kept = [row for row in train if texts[row] not in held_out]
    facts = {"classes_with_one_row": int((counts == 1).sum()), "copies_of_held_out_texts": len(train) - len(kept)}
    return kept, test, facts


def _quota(counts: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """How many of each class, in proportion; what rounding leaves goes to the largest remainders, ties by lot."""
    exact = counts / counts.sum() * total
    given = np.floor(exact)
    missing = int(total - given.sum())
    remainders = exact - given
    for value in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        (equal,) = np.where(remainders == value)
        chosen = rng.choice(equal, size=min(len(equal), missing), replace=False)
        given[chosen] += 1
        missing -= len(chosen)
    return given.astype(int)


def _draw(
    classes: Sequence[int], present: np.ndarray, to_train: np.ndarray, to_test: np.ndarray, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    train: list[int] = []
    test: list[int] = []
    for value, a, b in zip(present, to_train, to_test, strict=True):
        rows = np.flatnonzero(np.asarray(classes) == value)
        rows = rows[rng.permutation(len(rows))]
        train += rows[:a].tolist()
        test += rows[a : a + b].tolist()
    return rng.permutation(train).tolist(), rng.permutation(test).tolist()
