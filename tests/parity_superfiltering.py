"""Superfiltering and the pairwise evaluation against the released code's outputs; run by tests/parity.py."""

import functools
import math
from collections.abc import Iterator
from pathlib import Path

from superfiltering.ifd import released_lines
from superfiltering.scored_text import released_text
from superfiltering.token_losses import load_scorer

Equal = Iterator[tuple[bool, str]]
LONG_WINDOW, SHORT_WINDOW = 1024, 64  # the released default, and that of the hard files
BATCH_TOKENS = 512


def scores_of(rows: list[dict], model: Path, max_length: int) -> list[dict]:
    return released_lines(scorer_of(model), [released_text(row) for row in rows], max_length, BATCH_TOKENS)


@functools.cache
def scorer_of(folder: Path):
    return load_scorer(str(folder))


def same(found: object, expected: object, tolerance: float = 1e-4) -> bool:
    """Floats of models to a tolerance, NaN equal to NaN, everything else exactly."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k], tolerance) for k in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(same(a, b, tolerance) for a, b in zip(found, expected, strict=True))
    if isinstance(expected, float) and isinstance(found, int | float):
        both_nan = math.isnan(expected) and math.isnan(found)
        return both_nan or math.isclose(found, expected, rel_tol=tolerance)
    return found == expected
