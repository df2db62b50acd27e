"""The lazy greedy picks what the naive greedy picks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superfiltering.facility_location import facility_location
from tests.oracles import facility_location as oracle


def unit_vectors(count: int, dimension: int, seed: int, clusters: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(count, dimension))
    if clusters:
        points = draw.normal(size=(clusters, dimension))[draw.integers(clusters, size=count)] + 0.3 * points
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("matrix_bytes", [10**9, 0])
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.sampled_from([2, 16, 384]), st.integers(0, 999), st.integers(0, 5), st.integers(1, 100))
def test_the_same_rows_in_the_same_order(kind, matrix_bytes, count, dimension, seed, clusters, wanted):
    points = unit_vectors(count, dimension, seed, clusters)
    expected = oracle.facility_location(points, wanted, kind)
    assert facility_location(points, wanted, kind, matrix_bytes=matrix_bytes) == expected


@pytest.mark.parametrize("matrix_bytes", [10**9, 0])
def test_equal_rows_go_by_their_index_and_all_may_be_wanted(matrix_bytes):
    points = np.repeat(unit_vectors(5, 8, 0), 4, axis=0)
    picked = facility_location(points, 99, matrix_bytes=matrix_bytes)
    assert picked == oracle.facility_location(points, 99, "euclidean")
    assert sorted(picked) == list(range(20)) and all(index % 4 == 0 for index in picked[:5])
    assert picked[5:] == sorted(picked[5:])


def test_the_flat_kernel_of_float32_embeddings_is_told_apart():
    points = unit_vectors(400, 384, 1, clusters=20).astype(np.float32)
    assert facility_location(points, 60) == oracle.facility_location(points.astype(np.float64), 60, "euclidean")
