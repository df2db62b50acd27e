"""How well scores agree with ratings: the released code's figures, and those that a threshold is chosen by.

released_metrics(scores, labels)     # {"precision", "recall", "f1_macro", "accuracy"}
quality(scores, ratings)             # F1 at 3 with its interval, errors, Spearman, 6 x 6, calibration
threshold_curve(scores, ratings)     # kept share, precision, recall, F1 at 0.0, 0.1 … 5.0
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    cohen_kappa_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from common.errors import BadInput
from edu_filter.ratings import HIGHEST, int_score

GOOD = 3  # FineWeb-Edu keeps these
THRESHOLDS = np.arange(0, 10 * HIGHEST + 1) / 10
DRAWS = 1000  # of the bootstrap

# ---------------------------------------------------------------- as released


def released_metrics(scores: Sequence[float], labels: Sequence[float]) -> dict[str, float]:
    """Means over the classes that occur in labels or predictions; 0 where a divisor is 0."""
    if len(scores) == 1:
        raise BadInput("one row to evaluate on; the released code ends there with a TypeError")
    predicted, wanted = _released_classes(scores, labels)
    precision, recall, f1, _ = precision_recall_fscore_support(wanted, predicted, average="macro", zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1_macro": float(f1),
        "accuracy": float(accuracy_score(wanted, predicted)),
    }


def released_report(scores: Sequence[float], labels: Sequence[float]) -> str:
    """What the released evaluation prints."""
    predicted, wanted = _released_classes(scores, labels)
    report = classification_report(wanted, predicted, zero_division=0)
    present = np.unique([*wanted, *predicted])
    matrix = np.zeros((len(present), len(present)), dtype=int)
    np.add.at(matrix, (np.searchsorted(present, wanted), np.searchsorted(present, predicted)), 1)
    return f"Validation Report:\n{report}\nConfusion Matrix:\n{matrix}\n"


def _released_classes(scores: Sequence[float], labels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Halves go to the even class. Labels are rounded, not limited."""
    predicted = np.clip(np.round(np.asarray(scores, dtype=float)), 0, HIGHEST).astype(int)
    return predicted, np.round(np.asarray(labels, dtype=float)).astype(int)


# ---------------------------------------------------------------- ours


def quality(scores: Sequence[float], ratings: Sequence[float], seed: int = 0) -> dict[str, Any]:
    scores, ratings = np.asarray(scores, dtype=float), np.asarray(ratings, dtype=float)
    predicted, wanted = classes_of(scores), classes_of(ratings)
    return {
        "rows": len(scores),
        "at_3": at_threshold(scores, wanted >= GOOD, GOOD - 0.5) | intervals(scores, wanted >= GOOD, GOOD - 0.5, seed),
        "f1_macro": released_metrics(predicted, wanted)["f1_macro"] if len(scores) > 1 else None,
        "accuracy": float(np.mean(predicted == wanted)) if len(scores) else None,
        "mae": float(np.mean(np.abs(scores - ratings))) if len(scores) else None,
        "rmse": float(np.sqrt(np.mean((scores - ratings) ** 2))) if len(scores) else None,
        "spearman": spearman(scores, ratings),
        "confusion": six_by_six(wanted, predicted),
        "calibration": calibration(scores, ratings),
        "expected_calibration_error": calibration_error(scores, ratings),
    }


def six_by_six(rows: np.ndarray, columns: np.ndarray) -> list[list[int]]:
    """Always all classes, whichever occur."""
    matrix = np.zeros((HIGHEST + 1, HIGHEST + 1), dtype=int)
    np.add.at(matrix, (rows, columns), 1)
    return matrix.tolist()


def classes_of(values: Sequence[float]) -> np.ndarray:
    return np.array([int_score(value) for value in values], dtype=int)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """None where one of the two is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def at_threshold(scores: np.ndarray, good: np.ndarray, threshold: float) -> dict[str, float]:
    """Keeping scores of at least the threshold, against which rows are good."""
    kept = np.asarray(scores) >= threshold
    hits = int(np.sum(kept & good))
    precision, recall = hits / max(1, int(kept.sum())), hits / max(1, int(np.sum(good)))
    f1 = 2 * hits / max(1, int(kept.sum()) + int(np.sum(good)))
    return {"kept": float(np.mean(kept)) if len(kept) else 0.0, "precision": precision, "recall": recall, "f1": f1}


def intervals(scores: np.ndarray, good: np.ndarray, threshold: float, seed: int = 0) -> dict[str, list[float]]:
    """95 % bootstrap intervals of precision, recall and F1. Rows are drawn as counts of the four outcomes: the same
    distribution as drawing rows, whatever their number."""
    kept = np.asarray(scores) >= threshold
    cells = np.array([np.sum(kept & good), np.sum(kept & ~good), np.sum(~kept & good), np.sum(~kept & ~good)])
    if not cells.sum():
        return {}
    hits, wrong, missed, _ = np.random.default_rng(seed).multinomial(cells.sum(), cells / cells.sum(), DRAWS).T
    drawn = {
        "precision": hits / np.maximum(1, hits + wrong),
        "recall": hits / np.maximum(1, hits + missed),
        "f1": 2 * hits / np.maximum(1, 2 * hits + wrong + missed),
    }
    return {f"{name}_interval": np.quantile(values, [0.025, 0.975]).tolist() for name, values in drawn.items()}


def threshold_curve(
    scores: Sequence[float], ratings: Sequence[float], tokens: Sequence[int] | None = None
) -> list[dict[str, float]]:
    """One entry a threshold: what is kept of rows and tokens, and how well that agrees with "rated 3 or more"."""
    scores, good = np.asarray(scores, dtype=float), classes_of(ratings) >= GOOD
    weights = np.ones(len(scores)) if tokens is None else np.asarray(tokens, dtype=float)
    curve = []
    for threshold in THRESHOLDS:
        kept_tokens = float(weights[scores >= threshold].sum() / max(1.0, weights.sum()))
        curve.append(
            {"threshold": float(threshold)} | at_threshold(scores, good, threshold) | {"kept_tokens": kept_tokens}
        )
    return curve


def best_threshold(curve: Sequence[dict[str, float]]) -> dict[str, float]:
    """The entry of highest F1; of equal ones the middle one, away from both edges of the plateau."""
    top = max(entry["f1"] for entry in curve)
    equal = [entry for entry in curve if entry["f1"] >= top - 1e-12]
    return equal[len(equal) // 2]


def choose_threshold(scores: Sequence[float], ratings: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Chosen on one half of the rows, reported on the other."""
    scores, ratings = np.asarray(scores, dtype=float), np.asarray(ratings, dtype=float)
    order = np.random.default_rng(seed).permutation(len(scores))
    here, there = order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]
    threshold = best_threshold(threshold_curve(scores[here], ratings[here]))["threshold"]
    good = classes_of(ratings[there]) >= GOOD
    on_other = at_threshold(scores[there], good, threshold) | intervals(scores[there], good, threshold, seed)
    return {"threshold": threshold, "chosen_on": len(here), "reported_on": len(there), **on_other}


def calibration(scores: np.ndarray, ratings: np.ndarray) -> list[dict[str, float]]:
    """Mean rating where the score is 0 to 0.5, 0.5 to 1 …; scores beyond the ends count with the last bins."""
    place = np.clip((np.asarray(scores) * 2).astype(int), 0, 2 * HIGHEST - 1)
    return [
        {
            "from": at / 2,
            "rows": int(np.sum(place == at)),
            "mean_score": float(np.mean(scores[place == at])),
            "mean_rating": float(np.mean(ratings[place == at])),
        }
        for at in np.unique(place)
    ]


def calibration_error(scores: np.ndarray, ratings: np.ndarray) -> float | None:
    bins = calibration(scores, ratings)
    rows = sum(entry["rows"] for entry in bins)
    return (
        sum(entry["rows"] * abs(entry["mean_score"] - entry["mean_rating"]) for entry in bins) / rows if rows else None
    )


def isotonic(scores: Sequence[float], ratings: Sequence[float]) -> list[dict[str, float]]:
    """What a score means on the raters' scale: the best fit that never falls, read off at each threshold."""
    if not len(scores):
        return []
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, ratings).predict(THRESHOLDS)
    return [{"score": float(t), "rating": float(r)} for t, r in zip(THRESHOLDS, fitted, strict=True)]


def agreement(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Of two raters on the same rows: the ceiling of what a head can learn from one of them."""
    a, b = classes_of(first), classes_of(second)
    labels = list(range(HIGHEST + 1))
    varied = len(set(a) | set(b)) > 1
    return {
        "rows": len(a),
        "exact": float(np.mean(a == b)),
        "within_one": float(np.mean(np.abs(a - b) <= 1)),
        "quadratic_kappa": float(cohen_kappa_score(a, b, weights="quadratic", labels=labels)) if varied else None,
        "spearman": spearman(first, second),
        "same_side_of_3": float(np.mean((a >= GOOD) == (b >= GOOD))),
        "mean_difference": float(np.mean(np.asarray(second) - np.asarray(first))),
        "confusion": six_by_six(a, b),
    }


def drift(ratings: Sequence[float], block: int = 1000) -> list[dict[str, float]]:
    """Mean and share of 3 or more by blocks in the order of asking, and whether the mean leaves the 3-sigma band."""
    values = np.asarray(ratings, dtype=float)
    center, sigma = values.mean() if len(values) else 0.0, values.std() if len(values) else 0.0
    blocks = []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        outside = abs(part.mean() - center) > 3 * sigma / np.sqrt(len(part)) and len(part) < len(values)
        share = float(np.mean(classes_of(part) >= GOOD))
        blocks.append(
            {"from": start, "rows": len(part), "mean": float(part.mean()), "good": share, "outside": bool(outside)}
        )
    return blocks


def auc_of_source(sources: Sequence[str], good: Sequence[bool], seed: int = 0) -> float | None:
    """How well the source alone tells good rows: shares of good rows by source, counted on one half of the rows, rank
    the other half. 0.5 says nothing, 1 that a classifier may as well read the address."""
    sources, good = np.asarray(sources, dtype=str), np.asarray(good, dtype=bool)
    if not len(good):
        return None
    first = np.random.default_rng(seed).permutation(len(good)) % 2 == 0
    found = []
    for here, there in ((first, ~first), (~first, first)):
        names, place = np.unique(sources, return_inverse=True)
        rows, hits = (
            np.bincount(place[here], minlength=len(names)),
            np.bincount(place[here & good], minlength=len(names)),
        )
        share = (hits + good.mean()) / (rows + 1)  # a source that the other half lacks is like any
        found.append(auc(share[place[there]], good[there]))
    found = [value for value in found if value is not None]
    return sum(found) / len(found) if found else None


def auc(scores: Sequence[float], good: Sequence[bool]) -> float | None:
    """The chance that a good row scores higher than another; None when there is only one kind."""
    good = np.asarray(good, dtype=bool)
    return float(roc_auc_score(good, scores)) if good.any() and not good.all() else None
