"""Selections against sorting by hand; agreement measures against their definitions."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from superfiltering.selection import best_first, overlap, random_rows, select, shared, shares, spearman

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


def test_overlap_and_share_by_their_definitions():
    assert overlap([1, 2, 3], [2, 3, 4]) == 0.5 and shared([1, 2, 3, 4], [2, 3]) == 0.5
    assert overlap([], []) == 1.0


def test_random_rows_depend_on_the_seed_alone():
    assert random_rows(100, 10, 1) == random_rows(100, 10, 1) != random_rows(100, 10, 2)
    assert sorted(random_rows(5, 10, 0)) == [0, 1, 2, 3, 4]
