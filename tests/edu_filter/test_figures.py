"""Each figure of a rater or a head against a count by hand, and what is left out where there is nothing to count."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput, Reject
from edu_filter import metrics, ratings, shares
from edu_filter.labels import load_taxonomy, outside_their_domains, parse_labels, released_entry
from edu_filter.split import released_split, split

ROWS = st.lists(st.tuples(st.floats(-1, 6), st.integers(0, 5)), min_size=2, max_size=40)
quick = settings(max_examples=40, deadline=None)


def half_up(value):
    return min(max(math.floor(value + 0.5), 0), 5)


def share(hits, of):
    return hits / of if of else 0.0


# ---------------------------------------------------------------- a head against the ratings


@quick
@given(ROWS)
def test_errors_classes_and_calibration(rows):
    found = metrics.quality(*zip(*rows, strict=True))
    errors = [score - rating for score, rating in rows]
    assert found["mae"] == pytest.approx(sum(map(abs, errors)) / len(rows))
    assert found["rmse"] == pytest.approx(math.sqrt(sum(error**2 for error in errors) / len(rows)))
    assert found["accuracy"] == pytest.approx(sum(half_up(s) == r for s, r in rows) / len(rows))
    cells = Counter((rating, half_up(score)) for score, rating in rows)  # rows of the matrix are the ratings
    assert found["confusion"] == [[cells[rating, given] for given in range(6)] for rating in range(6)]
    bins = {}
    for score, rating in rows:
        bins.setdefault(min(max(math.trunc(2 * score), 0), 9) / 2, []).append((score, rating))
    assert [(entry["from"], entry["rows"]) for entry in found["calibration"]] == [
        (b, len(bins[b])) for b in sorted(bins)
    ]
    gap = 0.0
    for entry in found["calibration"]:
        means = np.mean(bins[entry["from"]], axis=0)
        assert (entry["mean_score"], entry["mean_rating"]) == pytest.approx(tuple(means), abs=1e-9)
        gap += abs(means[0] - means[1]) * entry["rows"] / len(rows)
    assert found["expected_calibration_error"] == pytest.approx(gap, abs=1e-9)


@quick
@given(ROWS, st.data())
def test_what_a_threshold_keeps_of_rows_and_tokens(rows, data):
    tokens = data.draw(st.lists(st.integers(1, 9), min_size=len(rows), max_size=len(rows)))
    scores, rated = zip(*rows, strict=True)
    curve = metrics.threshold_curve(scores, rated, tokens)
    assert [entry["threshold"] for entry in curve] == [n / 10 for n in range(51)]
    for entry in curve:
        kept = [score >= entry["threshold"] for score in scores]
        hits = sum(k and r >= 3 for k, r in zip(kept, rated, strict=True))
        good = sum(rating >= 3 for rating in rated)
        assert entry["kept"] == pytest.approx(sum(kept) / len(rows))
        assert entry["kept_tokens"] == pytest.approx(
            sum(t for k, t in zip(kept, tokens, strict=True) if k) / sum(tokens)
        )
        assert entry["precision"] == pytest.approx(share(hits, sum(kept)))
        assert entry["recall"] == pytest.approx(share(hits, good))
        assert entry["f1"] == pytest.approx(share(2 * hits, sum(kept) + good))
    top = max(entry["f1"] for entry in curve)
    plateau = [entry for entry in curve if entry["f1"] == pytest.approx(top, abs=1e-12)]
    assert metrics.best_threshold(curve) is plateau[len(plateau) // 2]
    at_3 = metrics.quality(scores, rated)["at_3"]
    assert at_3["recall"] == pytest.approx(share(sum(s >= 2.5 and r >= 3 for s, r in rows), good))


def test_a_threshold_is_chosen_on_one_half_and_told_of_the_other():
    rng = np.random.default_rng(3)
    rated = rng.integers(0, 6, 301)
    scores = rated + rng.normal(0, 1, 301)
    found = metrics.choose_threshold(scores, rated, seed=5)
    order = np.random.default_rng(5).permutation(301)
    here, there = order[:151], order[151:]
    assert (found["chosen_on"], found["reported_on"]) == (151, 150)
    assert found["threshold"] == metrics.best_threshold(metrics.threshold_curve(scores[here], rated[here]))["threshold"]
    assert found["recall"] == metrics.at_threshold(scores[there], rated[there] >= 3, found["threshold"])["recall"]


def test_an_interval_holds_nineteen_in_twenty_of_the_draws():
    """Of 400 rows, 100 of each outcome: precision and recall are 1/2 +- 0.07."""
    scores, good = np.repeat([1, 1, 0, 0], 100), np.tile(np.repeat([True, False], 100), 2)
    found = metrics.intervals(scores, good, 0.5)
    for low, high in (found["precision_interval"], found["recall_interval"], found["f1_interval"]):
        assert low == pytest.approx(0.5 - 0.069, abs=0.012) and high == pytest.approx(0.5 + 0.069, abs=0.012)
    assert metrics.intervals(np.array([]), np.array([], bool), 0.5) == {}
    few = metrics.intervals(np.repeat([1, 0], [10, 990]), np.repeat([True, False], [5, 995]), 0.5)
    assert few["recall_interval"] == [1, 1] and few["precision_interval"][0] < 0.5 < few["precision_interval"][1]


@quick
@given(ROWS)
def test_as_released_halves_go_to_the_even_class_and_means_are_over_classes_that_occur(rows):
    scores, labels = zip(*rows, strict=True)
    predicted = [min(max(round(score), 0), 5) for score in scores]
    found = metrics.released_metrics(scores, labels)
    present = sorted({*predicted, *labels})
    hits = {value: sum(a == b == value for a, b in zip(predicted, labels, strict=True)) for value in present}
    mean = {
        "precision": sum(share(hits[value], predicted.count(value)) for value in present) / len(present),
        "recall": sum(share(hits[value], labels.count(value)) for value in present) / len(present),
        "accuracy": sum(hits.values()) / len(rows),
    }
    assert {name: found[name] for name in mean} == pytest.approx(mean)
    matrix = np.array(
        [[sum(p == b and r == a for p, r in zip(predicted, labels, strict=True)) for b in present] for a in present]
    )
    report = metrics.released_report(scores, labels)
    assert report.startswith("Validation Report:\n") and report.endswith(f"\nConfusion Matrix:\n{matrix}\n")


def test_one_row_ends_the_released_evaluation_and_constant_scores_have_no_rank():
    with pytest.raises(BadInput, match="one row to evaluate on"):
        metrics.released_metrics([1.0], [1.0])
    assert metrics.spearman([1, 1, 1], [1, 2, 3]) is None and metrics.spearman([1, 2, 3], [4, 4, 4]) is None
    assert metrics.spearman([1, 2], [2, 1]) == pytest.approx(-1) and metrics.spearman([1], [1]) is None


# ---------------------------------------------------------------- two raters, one rater over time, the source alone


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_two_raters(pairs):
    found = metrics.agreement(*zip(*pairs, strict=True))

    def rate(right):
        return pytest.approx(sum(right(a, b) for a, b in pairs) / len(pairs))

    assert found["rows"] == len(pairs)
    assert found["within_one"] == rate(lambda a, b: abs(a - b) <= 1)
    assert found["same_side_of_3"] == rate(lambda a, b: (a >= 3) == (b >= 3))
    assert found["mean_difference"] == rate(lambda a, b: b - a)
    cells = Counter(pairs)
    assert found["confusion"] == [[cells[a, b] for b in range(6)] for a in range(6)]


def test_a_rater_over_time_block_by_block():
    given = [1, 2, 3, 4, 5, 5, 0]
    blocks = metrics.drift(given, block=3)
    assert [(block["from"], block["rows"]) for block in blocks] == [(0, 3), (3, 3), (6, 1)]
    assert [block["mean"] for block in blocks] == pytest.approx([2, 14 / 3, 0])
    assert [block["good"] for block in blocks] == pytest.approx([1 / 3, 1, 0])
    assert not any(block["outside"] for block in blocks) and metrics.drift([]) == []
    moved = metrics.drift([0] * 90 + [5] * 10, block=10)  # mean 0.5, sigma 1.5, of ten 0.47: the band ends at 1.9
    assert [block["outside"] for block in moved] == [False] * 9 + [True]
    assert not metrics.drift([0] * 50 + [5], block=51)[0]["outside"]


def test_a_chance_that_a_good_row_scores_higher():
    assert metrics.auc([3, 2, 1, 0], [True, False, True, False]) == pytest.approx(3 / 4)
    assert metrics.auc([1, 2], [True, True]) is None and metrics.auc([1, 2], [False, False]) is None
    assert metrics.auc_of_source([], []) is None and metrics.auc_of_source(["a", "b"], [True, True]) is None
    # One source is all good, the other all bad: it tells them apart whichever half is looked at.
    assert metrics.auc_of_source(["a", "b"] * 50, [True, False] * 50) == 1
    assert metrics.auc_of_source([str(row) for row in range(60)], [True, False] * 30) == 0.5  # each seen once


# ---------------------------------------------------------------- which rows train


@quick
@given(st.lists(st.integers(0, 5), min_size=40, max_size=200), st.sampled_from([0.05, 0.1, 0.25]))
def test_shares_of_classes_are_held_out(classes, test_share):
    train, test, facts = split(classes, [str(row) for row in range(len(classes))], test_share)
    counts, held_out = Counter(classes), Counter(classes[row] for row in test)
    for value, count in counts.items():
        least = min(1, count - 1)
        assert abs(held_out[value] - test_share * count) <= 1 or held_out[value] == least
    # Rounding down gives what is left to the test; each class may add one to it.
    wanted = len(classes) - math.floor(round((1 - test_share) * len(classes), 9))
    assert wanted - facts["classes_with_one_row"] <= len(test) <= wanted + len(counts)
    assert split(classes, ["same"] * len(classes), test_share)[0] == [] or not test
    assert split(classes, [str(row) for row in range(len(classes))], test_share, seed=42)[1] == test


def test_both_splits_are_the_same_where_the_released_one_works_and_depend_on_the_seed():
    classes = [row % 4 for row in range(400)]
    texts = [str(row) for row in range(400)]
    for seed in (42, 7):
        assert split(classes, texts, seed=seed)[:2] == released_split(classes, seed)
    assert released_split(classes) == released_split(classes, 42) != released_split(classes, 7)
    with pytest.raises(BadInput, match="has only 1 member"):
        released_split([*classes, 9])
    with pytest.raises(BadInput, match="test_size = 1 should be greater or equal to the number of classes = 2"):
        released_split([0, 1] * 6)
    with pytest.raises(BadInput, match="has only 0 member"):
        released_split([])


# ---------------------------------------------------------------- names and numbers as released


def test_shares_of_names_as_released():
    entries = [{"domains": "a, b,a", "use_cases": "E"}, {"domains": "b", "use_cases": None}]
    entries += [{"domains": "Sin coincidencia", "use_cases": "x"}, {"domains": None, "use_cases": "x, E"}]
    found = [(one.name, one.count, one.of_names, one.of_rows) for one in shares.released_shares(entries, "domains")]
    assert found == [("a", 2, 50, 100), ("b", 2, 50, 100)]
    (only,) = shares.released_shares(entries, "use_cases")
    assert (only.name, only.count, only.of_names) == ("x", 2, 100) and only.of_rows == pytest.approx(200 / 3)
    assert shares.released_shares([{"domains": None}], "domains") == []
    assert shares.released_caption(entries, "domains", "set").endswith("Domains for `set`\nExamples: 1/4")


@pytest.mark.parametrize(
    "written, rating", [("4", 4), ("4.99.", 4), ("10", 5), ("-1", 0), ("3.5", 3), ("", None), ("...", None)]
)
def test_a_written_rating_becomes_a_class_as_released(written, rating):
    if rating is None:
        with pytest.raises(ValueError):
            ratings.released_class(written)
    else:
        assert ratings.released_class(written) == rating


def test_a_score_becomes_a_class_as_released():
    scores = [-3, 0.5, 1.5, 2.5, 4.6, 9]
    assert [ratings.released_int_score(score) for score in scores] == [0, 0, 2, 2, 5, 5]


def test_the_released_file_is_known_by_its_head(tmp_path):
    path = tmp_path / "ratings.json"
    path.write_text(ratings.released_json([(3, {"Score": "4", "Prompt": "é"}), (7, {"Score": "1", "Prompt": "b"})]))
    assert ratings.is_released_json(path) and '"3": {' in path.read_text() and "é" in path.read_text()
    assert list(ratings.read_released_json(path)) == [{"rating": "4", "text": "é"}, {"rating": "1", "text": "b"}]
    for text, is_one in (("{}", True), ('[{"text": "a"}]', False), ('{"text": "a"}\n', False), ('{"1": 5}', False)):
        path.write_text(text)
        assert ratings.is_released_json(path) == is_one
    for text in ("{", "[]", '{"0": {"Score": "4"}}', '{"0": 4}'):
        path.write_text(text)
        with pytest.raises(BadInput, match="as step 1 writes it"):
            list(ratings.read_released_json(path))
    other = tmp_path / "ratings.jsonl"
    other.write_text('{"0": {}}')
    assert not ratings.is_released_json(other) and not ratings.is_released_json(tmp_path / "none.json")


# ---------------------------------------------------------------- a reply


@pytest.mark.parametrize("reply", ['{"score": "4"}', '{"score": null}', '{"reason": "x"}', '{"score": 4', "[4]"])
def test_json_without_a_score_is_no_rating(reply):
    with pytest.raises(Reject, match="no educational score"):
        ratings.parse_rating(reply)


def test_the_reason_of_a_reply():
    assert ratings.reason_of('{"score": 3}') == "" and ratings.reason_of(" just words \n") == "just words"
    reply = "One.\nEducational score: 2\nBut then.\nEducational score: 4"
    assert ratings.reason_of(reply) == "One.\nEducational score: 2\nBut then." and ratings.parse_rating(reply) == 4


def test_labels_go_back_to_names_and_nothing_is_said_as_nothing():
    taxonomy = load_taxonomy()
    labels = parse_labels("DOMINIO: Salud\nCASOS DE USO: Sin coincidencia", taxonomy)
    assert outside_their_domains(labels, taxonomy) == []
    assert released_entry(labels, taxonomy) == {"domains": "Salud", "use_cases": "Sin coincidencia"}
    assert released_entry({"domains": [], "use_cases": []}, taxonomy) == {"domains": None, "use_cases": None}
    assert released_entry({"domains": ["unheard"], "use_cases": []}, taxonomy, "zh")["domains"] == "unheard"
