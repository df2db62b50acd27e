"""Selections against sorting by hand; agreement measures against their definitions."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from common.errors import BadValue
from common.rows import write_rows
from superfiltering.selection import (
    best_first,
    difficult_rows,
    length_of,
    longest_rows,
    overlap,
    random_rows,
    rows_in_order,
    score_of,
    select,
    shared,
    shares,
    spearman,
)

scores = st.lists(st.none() | st.just(math.nan) | st.floats(0, 2) | st.sampled_from([0.5, 0.9, 1.0]), max_size=40)


@given(scores, st.integers(0, 50), st.sampled_from([0.5, 1.0, 1.5]))
def test_the_best_below_the_threshold_in_order_equal_ones_as_they_stood(values, count, below):
    chosen = select(values, count, below)
    usable = [(-value, index) for index, value in enumerate(values) if value is not None and value < below]
    assert chosen == [index for _, index in sorted(usable)][:count]


@given(scores, st.integers(0, 40), st.data())
def test_groups_keep_their_share_and_the_ranking(values, count, data):
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    count = min(count, len(values))
    chosen = select(values, count, groups=groups)
    ranked = best_first(values)
    assert chosen == [index for index in ranked if index in chosen]
    quotas = shares(groups, count) if groups else {}
    assert sum(quotas.values()) == (count if groups else 0)
    for group, quota in quotas.items():
        members = [index for index in ranked if groups[index] == group]
        assert [index for index in chosen if groups[index] == group] == members[:quota]
        assert abs(quota - count * groups.count(group) / len(groups)) < 1


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=3, max_size=30))
def test_spearman_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    assume(len(set(first)) > 1 < len(set(second)))
    expected = spearmanr(first, second).statistic
    found = spearman([*first, None, 1.0], [*second, 1.0, math.nan])
    assert math.isclose(found, expected, abs_tol=1e-9)


def test_spearman_of_what_has_no_ranks_is_none():
    assert math.isnan(spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])) and math.isnan(spearman([1.0, None], [None, 2.0]))


def test_overlap_and_share_by_their_definitions():
    assert overlap([1, 2, 3], [2, 3, 4]) == 0.5 and shared([1, 2, 3, 4], [2, 3]) == 0.5
    assert overlap([], []) == 1.0


@given(scores, st.integers(0, 50), st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([0.0, 0.9, 1.0]))
def test_difficult_rows_are_those_of_the_released_program(values, count, lower, upper):
    numbers = [math.nan if value is None else value for value in values]
    rows = [{"at": at, "score": number} for at, number in enumerate(numbers)]
    usable = [row for row in rows if row["score"] < upper] if upper != 0 else rows
    if count:
        by_score = sorted(
            usable, key=lambda row: (0, 0) if math.isnan(row["score"]) else (1, row["score"]), reverse=True
        )
        expected = by_score[:count]
    else:
        expected = [row for row in usable if row["score"] > lower]
    assert difficult_rows(values, count, lower, upper) == [row["at"] for row in expected]


def test_what_rounding_leaves_goes_to_the_largest_remainders():
    groups = ["a"] * 5 + ["b"] * 3 + ["c"] * 2  # of 4: 2.0, 1.2 and 0.8
    assert shares(groups, 4) == {"a": 2, "b": 1, "c": 1}
    assert shares(["a"] * 7 + ["b"] * 2 + ["c"], 3) == {"a": 2, "b": 1, "c": 0}
    assert shares("aaab", 2) == {"a": 2, "b": 0}  # equal remainders: who comes first in the data


def test_a_score_is_a_number_or_none_and_a_text_is_none_only_as_released():
    assert score_of({"k": 1}, "k") == 1 and math.isnan(score_of({"k": None}, "k")) and score_of({"k": True}, "k") == 1
    assert math.isnan(score_of({"k": "0.9"}, "k", paper_exact=True))
    for row, released in (({"k": "0.9"}, False), ({}, False), ({}, True)):
        with pytest.raises(BadValue, match="no number in 'k'"):
            score_of(row, "k", released)


def test_the_length_of_a_row_is_that_of_all_its_answers():
    assert length_of({"output": "abc"}) == 3 and length_of({"messages": None}) == 0
    turns = [{"role": "user", "content": "abcd"}, {"role": "assistant", "content": "ab"}]
    assert length_of({"messages": turns * 2}) == 4
    turns = [{"from": "human", "value": "abcd"}, {"from": "gpt", "value": "ab"}]
    assert length_of({"conversations": turns * 3}) == 6


def test_the_longest_rows_equal_ones_as_they_stand():
    assert longest_rows([3, 9, 9, 1], 3) == [1, 2, 0] and longest_rows([1], 5) == [0]


def test_rows_in_order_places_come_in_the_order_asked_for(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"n": n} for n in range(9)])
    assert [row["n"] for row in rows_in_order(str(tmp_path / "rows.jsonl"), [7, 0, 3])] == [7, 0, 3]


def test_random_rows_depend_on_the_seed_alone():
    assert random_rows(100, 10, 1) == random_rows(100, 10, 1) != random_rows(100, 10, 2)
    assert sorted(random_rows(5, 10, 0)) == [0, 1, 2, 3, 4]
