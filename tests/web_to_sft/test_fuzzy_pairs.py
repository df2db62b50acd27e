"""The exact index against the naive pairing, on random, adversarial and recorded rows."""

import random
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.oracles import fuzzy_pairs as oracle
from web_to_sft import fuzzy_pairs
from web_to_sft.fuzzy_pairs import (
    Index,
    distance,
    is_subsequence,
    match_all,
    match_best,
    match_first,
    order_bits,
    sketches,
)
from web_to_sft.normalizers import normalise_paper, normalise_unicode, normalise_web_question

# Few characters, so that near questions, contained solutions and ties are common; with everything a normaliser drops.
letters = st.text("一二三四五六七八0123ab，．\\n+", max_size=14)
rows = st.lists(st.tuples(letters, letters), min_size=1, max_size=25)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def paper_index(high_quality, **options):
    return Index(
        [normalise_paper(q) for q, _ in high_quality], [normalise_paper(s) for _, s in high_quality], **options
    )


def ours(web, high_quality, **options):
    matches = match_all(paper_index(high_quality), web, **options)
    return [(match.highquality, place) for place, match in enumerate(matches) if match.highquality is not None]


def noisy_problems(count, seed):
    rng = random.Random(seed)
    clean = []
    for _ in range(count):
        question = "".join(rng.choices("小明有个苹果又买了多少在学校里", k=rng.randint(3, 20))) + str(
            rng.randint(1, 99)
        )
        clean.append((question, f"{rng.randint(1, 9)}+{rng.randint(1, 9)}"))
    web = []
    for _ in range(count):
        question, solution = rng.choice(clean)
        question = "".join(character for character in question if rng.random() > 0.1)
        web.append(
            (rng.choice(["", "【题文】"]) + question, rng.choice(["解：略", f"解：{solution}．", solution[::-1]]))
        )
    return web, clean


@settings(max_examples=300, deadline=None)
@given(rows, rows)
def test_same_pairs_as_the_naive_pairing(web, high_quality):
    assert ours(web, high_quality) == oracle.pairs(web, high_quality)


@pytest.mark.parametrize("seed", range(3))
def test_same_pairs_on_noisy_problems(seed):
    web, high_quality = noisy_problems(300, seed)
    expected = oracle.pairs(web, high_quality)
    assert len(expected) > 50
    assert ours(web, high_quality) == expected


@pytest.mark.parametrize("dense", [0, 10**9])
def test_order_bits_lose_no_pair(monkeypatch, dense):
    monkeypatch.setattr(fuzzy_pairs, "DENSE", dense)
    web, high_quality = noisy_problems(250, 9)
    assert ours(web, high_quality) == oracle.pairs(web, high_quality)


def test_small_blocks_and_several_processes_give_the_same(monkeypatch):
    web, high_quality = noisy_problems(200, 5)
    expected = ours(web, high_quality)
    monkeypatch.setattr(fuzzy_pairs, "BLOCK_COLUMNS", 7)
    monkeypatch.setattr(fuzzy_pairs, "BLOCK_CELLS", 21)
    monkeypatch.setattr(fuzzy_pairs, "CHUNK_ROWS", 13)
    assert ours(web, high_quality) == expected
    assert ours(web, high_quality, num_workers=2) == expected


@given(any_text, st.booleans())
def test_normaliser(text, web_question):
    found = normalise_web_question(text, "paper") if web_question else normalise_paper(text)
    assert found == oracle.normalise(text, web_question)


@given(st.text("abc一二1【题文】\\n .", max_size=20), st.booleans())
@example("a\\nb", True)
def test_normaliser_around_tags_and_letters(text, web_question):
    found = normalise_web_question(text, "paper") if web_question else normalise_paper(text)
    assert found == oracle.normalise(text, web_question)


@given(letters, letters)
def test_distance(question, other):
    assert distance(question, other) == min(oracle.distance(question, other), 6)


@given(letters, letters)
def test_sketches_differ_by_at_most_the_distance(question, other):
    mine, theirs = sketches([question, other])
    assert int(np.bitwise_count(mine ^ theirs)) <= oracle.distance(question, other)


@given(letters, letters)
def test_a_subsequence_has_no_order_bit_of_its_own(short, long):
    needed, present = order_bits([short, long]).T
    assert is_subsequence(short, long) == oracle.is_subsequence(short, long)
    if oracle.is_subsequence(short, long):
        assert not (needed & ~present).any()


def test_the_first_of_several_high_quality_rows_wins_even_before_an_equal_question():
    high_quality = [("小明有三个苹果", "3"), ("小明有三个苹", "3"), ("小明有三个苹果吗", "3")]
    assert ours([("小明有三个苹果吗", "解3"), ("小明有三个苹果吗", "解")], high_quality) == [(0, 0), (2, 1)]


@pytest.mark.parametrize(
    ("web", "high_quality"),
    [
        (("How old are they", "x"), ("What is your name", "y")),  # words go, so both questions are empty
        (("小明有甲个苹果", "解"), ("小明有乙个苹果", "")),  # an empty solution is part of anything
        (
            ("小明计算3.5+2", "解：33"),
            ("小明计算35-2", "5.5"),
        ),  # operators and points go
    ],
)
def test_the_defects_of_the_paper_are_there_and_unicode_mends_them(web, high_quality):
    assert ours([web], [high_quality]) == oracle.pairs([web], [high_quality]) == [(0, 0)]
    strict = Index([normalise_unicode(high_quality[0])], [normalise_unicode(high_quality[1])], strict=True)
    assert [match.highquality for match in match_all(strict, [web], normalizer="unicode")] == [None]


def test_checked_answers():
    high_quality = [("小明有几个苹果", "3"), ("小明有几个苹果", "4")]
    matches = match_all(paper_index(high_quality, check_answers=True), [("小明有几个苹果", "解：4个")])
    assert [match.highquality for match in matches] == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom has ３.５ apples，and ½ pear.", "tomhas3.5applesand1/2pear"),
        ("सेब 5 किलो", "सेब5किलो"),
        ("Élan × 2 ÷ 3 − 1", "élan*2/3-1"),
        ("【题文】a\\n\\nb", "ab"),
        ("1+2=3, 4<5; 7-6*5/4%^2 ≈ 2!", "1+2=34<57-6*5/4%^2≈2"),
        ("3\\n.5", "35"),
    ],
)
def test_unicode_normaliser(text, expected):
    assert normalise_unicode(text) == unicodedata.normalize("NFKC", expected)


@pytest.mark.parametrize(
    ("clean", "expected"),
    [
        ("小明有几个苹果", (None, 1, 0)),
        ("小明有几个苹甲乙丙丁戊", (None, 5, 0)),
        ("小明有几个苹甲乙丙丁戊己", (None, None, None)),
        ("小明甲甲甲甲个苹", (None, None, None)),  # all parities are equal but those of two characters
    ],
)
def test_near_misses_are_within_the_distance_and_have_another_solution(clean, expected):
    (match,) = match_all(paper_index([(clean, "7")]), [("小明有几个苹", "解：3")])
    assert (match.highquality, match.score, match.rejected) == expected


def test_questions_with_equal_sketches_that_are_far_apart_are_no_near_miss():
    web, clean = "小明甲甲甲甲", "小明乙乙乙乙"
    assert sketches([web])[0] == sketches([clean])[0]
    (match,) = match_all(paper_index([(clean, "7")]), [(web, "解：3")])
    assert (match.highquality, match.score, match.rejected) == (None, None, None)


@pytest.mark.parametrize("check_answers", [False, True])
def test_strict_never_matches_on_empty_texts(check_answers):
    questions, solutions = ["", "苹果", "梨子"], ["3", "", "3"]
    strict = Index(questions, solutions, strict=True, check_answers=check_answers)
    asked = ["", "苹", "苹果", "梨"]
    found = [match.highquality for match in match_first(strict, asked, ["解3"] * 4)]
    # An empty question is nobody's twin; an empty solution proves nothing, but equal questions need no proof.
    assert found == [None, 2, 2 if check_answers else 1, 2]
    assert [match.highquality for match in match_best(strict, ["", "苹果"], "ratio", 50)] == [None, 1]
    lenient = Index(questions, solutions, check_answers=check_answers)
    assert [match.highquality for match in match_first(lenient, asked, ["解3"] * 4)] == [
        0,
        0,
        0 if check_answers else 0,
        0,
    ]


@pytest.mark.parametrize("scorer", fuzzy_pairs.SCORERS)
def test_rapidfuzz_takes_the_best_and_the_lowest_of_equals(scorer):
    index = Index(["abcdefgz12", "abcdefgh12", "abcdefgh12"], ["", "", ""])
    web = [("abcdefgh 12", ""), ("zzzz", "")]
    matches = list(match_all(index, web, "unicode", matcher="rapidfuzz", scorer=scorer, score_cutoff=80))
    assert [(match.highquality, match.score) for match in matches] == [(1, 100.0), (None, None)]


def look_alikes(count, rng):
    """One template with other numbers; the questions of ten thousand have a few hundred multisets of characters."""
    questions = (
        f"果园里有苹果树{rng.randint(100, 999)}棵，梨树比它多{rng.randint(10, 99)}棵，梨树有多少棵？"
        for _ in range(count)
    )
    return [(question, f"{rng.randint(100, 999)}+1") for question in questions]


@pytest.mark.parametrize("solution_found", [True, False])
def test_ten_thousand_look_alikes_cost_little(solution_found):
    rng = random.Random(3)
    web = [(question, f"解：{solution}" if solution_found else "略") for question, solution in look_alikes(10_000, rng)]
    high_quality = look_alikes(10_000, rng)
    start = time.process_time()
    found = ours(web, high_quality)
    assert time.process_time() - start < 20  # 0.6 s here; the naive pairing takes minutes
    equal = {normalise_paper(question) for question, _ in high_quality}
    paired = [place for _, place in found]
    if solution_found:
        assert len(found) > 6_000
    else:
        assert paired == [place for place, (question, _) in enumerate(web) if normalise_paper(question) in equal]
