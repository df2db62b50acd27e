"""The lazy greedy picks what the released one picks, in its order."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superfiltering.facility_location import facility_location
from tests.oracles import facility_location as oracle
from tests.oracles.facility_location import unit_vectors

RELEASED = Path(__file__).parent.parent / "data" / "superfiltering" / "facility_location.json"


def released_vectors(count: int, dimension: int, clusters: int, noise: float, copies: int, seed: int) -> np.ndarray:
    points = np.repeat(unit_vectors(count // copies, dimension, seed, clusters, noise), copies, axis=0)
    return np.random.default_rng(seed).permutation(points).astype(np.float32)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("matrix_bytes", [10**9, 0])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 90), st.sampled_from([2, 16, 384]), st.integers(0, 999), st.integers(0, 5), st.integers(0, 100))
def test_the_same_rows_in_the_same_order(kind, matrix_bytes, count, dimension, seed, clusters, wanted):
    points = unit_vectors(count, dimension, seed, clusters)
    expected = oracle.facility_location(points, wanted, kind)
    assert facility_location(points, wanted, kind, matrix_bytes=matrix_bytes) == expected


@pytest.mark.parametrize("case", json.loads(RELEASED.read_text())["sets"], ids=lambda case: str(case["vectors"]))
@pytest.mark.parametrize("matrix_bytes", [10**9, 0])
def test_the_picks_of_the_released_library(case, matrix_bytes):
    points = released_vectors(*case["vectors"])
    assert facility_location(points, len(case["picked"]), matrix_bytes=matrix_bytes) == case["picked"]


@pytest.mark.parametrize("matrix_bytes", [10**9, 0])
def test_all_may_be_wanted_and_each_copy_is_picked_once(matrix_bytes):
    points = np.repeat(unit_vectors(5, 8, 0), 4, axis=0)
    picked = facility_location(points, 99, matrix_bytes=matrix_bytes)
    assert picked == oracle.facility_location(points, 99, "euclidean")
    assert sorted(picked) == list(range(20)) and {index // 4 for index in picked[:5]} == set(range(5))


def test_what_is_picked_adds_as_much_as_the_plain_greedys_choice():
    points = unit_vectors(120, 16, 3, clusters=8)
    matrix = oracle.similarities(points, "euclidean").astype(np.float64)
    ours, plain = (matrix[picked].max(0).sum() for picked in (
        facility_location(points, 20), oracle.plain_greedy(points, 20, "euclidean")
    ))  # fmt: skip
    assert ours == pytest.approx(plain, rel=1e-6)
