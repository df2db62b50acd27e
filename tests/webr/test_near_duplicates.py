import json
import random
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.oracles import near_duplicates as oracle
from webr import near_duplicates
from webr.near_duplicates import find_near_duplicates, word_ids

DATA = Path(__file__).parents[1] / "data" / "webr"

# Few distinct ids, so that random rows often repeat each other; empty rows and ids seen twice happen too.
# The slow version makes a few thousand hashes a row set: on a busy machine that is slow, not wrong.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
token_rows = st.lists(st.lists(st.integers(0, 40), max_size=25), max_size=40)


def edited_rows(count: int, seed: int) -> list[list[int]]:
    """Rows of 20 to 80 ids, most of them an earlier row with some ids changed: similarities on both sides of 0.7."""
    draw = random.Random(seed)
    rows: list[list[int]] = []
    for _ in range(count):
        row = [draw.randrange(120_000) for _ in range(draw.randint(20, 80))]
        if rows and draw.random() < 0.7:
            row = list(draw.choice(rows))
            for _ in range(draw.randint(0, 14)):
                row[draw.randrange(len(row))] = draw.randrange(120_000)
        rows.append(row)
    return rows


def test_the_reference_is_reproduced():
    case = json.loads((DATA / "requests.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer" / "tokenizer.json"))
    left = case["after_pattern_filter"]
    repeats = find_near_duplicates([tokenizer.encode(case["rows"][n]["request"]).ids for n in left], paper_exact=True)
    assert [n for n, repeated in zip(left, repeats, strict=True) if repeated < 0] == case["after_minhash"]


@given(token_rows)
@patient
def test_random_rows_as_released(rows):
    assert find_near_duplicates(rows, paper_exact=True).tolist() == oracle.as_released(rows)


@given(token_rows)
@patient
def test_random_rows_verified(rows):
    assert find_near_duplicates(rows).tolist() == oracle.greedy(rows)


@pytest.mark.parametrize("seed", range(3))
def test_edited_rows(seed):
    rows = edited_rows(700, seed)
    released, verified = oracle.as_released(rows), oracle.greedy(rows)
    assert find_near_duplicates(rows, paper_exact=True).tolist() == released
    assert find_near_duplicates(iter(rows)).tolist() == verified
    assert released != verified


def test_rows_read_in_several_chunks(monkeypatch):
    monkeypatch.setattr(near_duplicates, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(near_duplicates, "COLUMNS_AT_ONCE", 3)
    monkeypatch.setattr(near_duplicates, "PAIRS_AT_ONCE", 2)
    rows = edited_rows(200, 9)
    assert find_near_duplicates(rows).tolist() == oracle.greedy(rows)
    assert find_near_duplicates(rows, paper_exact=True).tolist() == oracle.as_released(rows)


@given(st.lists(st.integers(0, 200_000), max_size=30))
def test_signature_is_datasketchs(tokens):
    expected = MinHash(num_perm=128)
    for token in tokens:
        expected.update(str(token).encode())
    distinct, counts = near_duplicates.distinct_tokens([tokens])
    a, b = near_duplicates.permutations(128)
    found = near_duplicates.signatures(near_duplicates.TokenHashes().of(distinct), counts, a[:, None], b[:, None])
    assert found[:, 0].tolist() == expected.hashvalues.tolist()


@given(st.lists(st.integers(0, 3000), max_size=50))
def test_token_hashes_are_datasketchs(tokens):
    tokens = np.array(tokens, np.uint32)
    hashes = near_duplicates.TokenHashes()
    expected = [MinHash(num_perm=1).hashfunc(str(token).encode()) for token in tokens]
    for _ in range(2):  # the second time they are looked up
        assert hashes.of(tokens).tolist() == near_duplicates.mix(np.array(expected, np.uint32)).tolist()


@pytest.mark.parametrize("num_perm", [64, 128, 256])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95])
def test_band_shape_is_datasketchs(threshold, num_perm):
    lsh = MinHashLSH(threshold=threshold, num_perm=num_perm)
    assert near_duplicates.band_shape(threshold, num_perm) == (lsh.b, lsh.r)


def test_other_threshold_and_permutations():
    rows = edited_rows(300, 4)
    assert find_near_duplicates(rows, 0.5, 64).tolist() == oracle.greedy(rows, 0.5, 64)
    assert find_near_duplicates(rows, 0.9, 256, paper_exact=True).tolist() == oracle.as_released(rows, 0.9, 256)


def test_a_chain_of_neighbours():
    """Eight rows, each like its neighbours only: as released seven go, verified every second one stays."""
    rows = [list(range(300 + 20 * step, 300 + 20 * step + 200)) for step in range(8)]
    assert oracle.jaccard(rows[0], rows[1]) > 0.7 > oracle.jaccard(rows[0], rows[2])
    assert np.count_nonzero(find_near_duplicates(rows, paper_exact=True) < 0) == 1
    assert find_near_duplicates(rows).tolist() == [-1, 0, -1, 2, -1, 4, -1, 6]


def test_a_repeated_row_names_a_row_that_is_kept():
    repeats = find_near_duplicates(edited_rows(500, 7)).tolist()
    assert any(row >= 0 for row in repeats)
    assert all(repeats[row] == -1 and row < index for index, row in enumerate(repeats) if row >= 0)


def test_many_equal_rows_take_linear_time():
    repeats = find_near_duplicates([[1, 2, 3]] * 20_000)
    assert repeats[0] == -1 and (repeats[1:] == 0).all()


@pytest.mark.parametrize("paper_exact", [False, True])
def test_few_rows(paper_exact):
    assert find_near_duplicates([], paper_exact=paper_exact).tolist() == []
    assert find_near_duplicates([[4]], paper_exact=paper_exact).tolist() == [-1]
    assert find_near_duplicates([[], [4], []], paper_exact=paper_exact).tolist() == [-1, -1, 0]


@pytest.mark.parametrize("token", [2**24, 2**40, -1])
def test_ids_that_are_no_ids_are_refused(token):
    with pytest.raises((ValueError, OverflowError)):
        find_near_duplicates([[1], [token]])


def test_words_are_told_apart_by_their_letters_alone():
    assert word_ids("The River, the BREAD!") == word_ids("the river -- the bread")
    assert len(set(word_ids("river bread Fluss 河流 川"))) == 6
    assert word_ids("a b c a b", run=2) == word_ids("a b", 2) + word_ids("b c", 2) + word_ids("c a", 2) + word_ids(
        "a b", 2
    )
    assert word_ids("a b", run=5) == word_ids("a b", run=2) and word_ids("...") == word_ids("...", run=3) == []
