"""The split, the sample and the figures a threshold is chosen by, against naive counts."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.metrics import cohen_kappa_score, f1_score

from common.errors import BadInput
from edu_filter import metrics
from edu_filter.sampling import sample_rows
from edu_filter.split import released_split, split

CLASSES = st.lists(st.integers(0, 5), min_size=1, max_size=150)
SCORES = st.lists(st.tuples(st.floats(-1, 6), st.integers(0, 5)), min_size=2, max_size=60)


@given(CLASSES)
def test_every_row_is_on_one_side_and_small_classes_are_tested(classes):
    train, test, facts = split(classes, [str(row) for row in range(len(classes))])
    assert sorted(train + test) == list(range(len(classes)))
    counts, held_out = Counter(classes), Counter(classes[row] for row in test)
    assert all(held_out[value] >= 1 for value in counts if counts[value] > 1)
    assert all(held_out[value] == 0 for value in counts if counts[value] == 1)
    assert facts["classes_with_one_row"] == sum(count == 1 for count in counts.values())


@given(CLASSES)
def test_the_released_split_keeps_shares_or_says_why_not(classes):
    try:
        train, test = released_split(classes)
    except BadInput:
        n_test = len(classes) - math.floor(0.95 * len(classes))
        assert min(Counter(classes).values()) < 2 or n_test < len(set(classes))
        return
    assert len(train) == math.floor(0.95 * len(classes)) and sorted(train + test) == list(range(len(classes)))
    for value, count in Counter(classes).items():
        assert abs(sum(classes[row] == value for row in test) - 0.05 * count) <= 1


def test_copies_of_held_out_texts_do_not_train():
    texts = [f"text {row % 20}" for row in range(100)]
    train, test, facts = split([row % 3 for row in range(100)], texts)
    assert test and not {texts[row] for row in train} & {texts[row] for row in test}
    assert facts["copies_of_held_out_texts"] == 100 - len(test) - len(train) > 0


def test_each_row_is_as_likely_to_be_sampled_as_any_other():
    counts = Counter(row for seed in range(400) for row in sample_rows(range(50), 10, seed))
    assert chisquare([counts[row] for row in range(50)]).pvalue > 1e-3
    assert sample_rows(range(50), 10, 1) == sorted(sample_rows(range(50), 10, 1))


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 30))
def test_groups_are_sampled_alike_as_far_as_they_go(names, number):
    rows = list(enumerate(names))
    chosen = sample_rows(rows, number, 0, group=lambda row: row[1])
    assert len(set(chosen)) == len(chosen) == min(number, len(rows)) and set(chosen) <= set(rows)
    counts, had = Counter(name for _, name in chosen), Counter(names)
    for name in had:
        assert counts[name] == had[name] or counts[name] >= max(counts.values()) - 1


@given(SCORES)
def test_released_metrics_are_means_over_the_classes_that_occur(rows):
    scores, labels = zip(*rows, strict=True)
    predicted = [min(max(round(score), 0), 5) for score in scores]
    found = metrics.released_metrics(scores, labels)
    present = sorted(set(predicted) | set(labels))
    naive = []
    for value in present:
        hits = sum(a == b == value for a, b in zip(predicted, labels, strict=True))
        naive.append(2 * hits / (predicted.count(value) + labels.count(value)))
    assert found["f1_macro"] == pytest.approx(sum(naive) / len(naive))


@given(SCORES)
def test_the_curve_counts_what_a_threshold_keeps(rows):
    scores, ratings = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    curve = metrics.threshold_curve(scores, ratings, tokens=[1] * len(rows))
    assert len(curve) == 51
    for entry in curve[::10]:
        kept = scores >= entry["threshold"]
        assert entry["kept"] == entry["kept_tokens"] == pytest.approx(kept.mean())
        if kept.any() and (ratings >= 3).any():
            assert entry["f1"] == pytest.approx(f1_score(ratings >= 3, kept))
    assert [entry["kept"] for entry in curve] == sorted((entry["kept"] for entry in curve), reverse=True)


def test_the_known_best_threshold_is_found():
    rng = np.random.default_rng(1)
    ratings = rng.integers(0, 6, 4000)
    scores = np.where(ratings >= 3, rng.uniform(1.7, 3, 4000), rng.uniform(0, 1.7, 4000))
    chosen = metrics.choose_threshold(scores, ratings)
    assert chosen["threshold"] == pytest.approx(1.7, abs=0.1) and chosen["f1"] > 0.97
    assert chosen["chosen_on"] + chosen["reported_on"] == 4000
    low, high = chosen["f1_interval"]
    assert low <= chosen["f1"] <= high


@given(SCORES)
def test_the_isotonic_table_never_falls_and_stays_among_the_ratings(rows):
    scores, ratings = zip(*rows, strict=True)
    table = [entry["rating"] for entry in metrics.isotonic(scores, ratings)]
    assert len(table) == 51 and table == sorted(table)
    assert min(ratings) - 1e-9 <= table[0] and table[-1] <= max(ratings) + 1e-9


def test_the_isotonic_table_undoes_what_bends_a_scale():
    ratings = np.random.default_rng(0).uniform(0, 5, 5000)
    table = metrics.isotonic(1 + ratings**2 / 10, ratings)  # scores from 1 to 3.5
    assert table[20]["rating"] == pytest.approx(math.sqrt(10), abs=0.05)
    assert metrics.isotonic([], []) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=5, max_size=50))
def test_agreement_is_scikit_learns(pairs):
    first, second = zip(*pairs, strict=True)
    found = metrics.agreement(first, second)
    if len(set(first) | set(second)) > 1:
        wanted = cohen_kappa_score(first, second, weights="quadratic", labels=list(range(6)))
        assert found["quadratic_kappa"] == pytest.approx(wanted, nan_ok=True)
    assert found["exact"] == pytest.approx(np.mean(np.equal(first, second)))
    assert sum(map(sum, found["confusion"])) == len(pairs)


def test_a_rater_that_moves_leaves_the_band():
    rng = np.random.default_rng(0)
    steady = rng.integers(0, 5, 5000)
    assert not any(block["outside"] for block in metrics.drift(steady))
    moved = np.where(np.arange(5000) >= 4000, steady + 1, steady)
    assert metrics.drift(moved)[-1]["outside"]


def test_the_source_alone_is_told_from_chance():
    rng = np.random.default_rng(0)
    sources = rng.choice(["school", "shop", "news"], 3000)
    by_source = rng.random(3000) < np.where(sources == "school", 0.9, 0.1)
    assert metrics.auc_of_source(sources, by_source) > 0.8
    assert abs(metrics.auc_of_source(sources, rng.random(3000) < 0.3) - 0.5) < 0.05
    assert metrics.auc_of_source(["one"] * 100, [True, False] * 50) == pytest.approx(0.5)


def test_figures_of_no_rows_and_of_one_are_no_errors():
    for rows in (0, 1, 2):
        found = metrics.quality(np.ones(rows), np.ones(rows))
        assert found["rows"] == rows and np.sum(found["confusion"]) == rows
        metrics.choose_threshold(np.ones(rows), np.ones(rows))
