"""The filter: equal to the slow one on thousands of lists, and what it drops it drops for a reason."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augcon import chinese_words
from augcon.question_filter import filter_ranked, rank, released_filter, rouge_l, similar_to, words
from tests.oracles import question_filter as oracle

WORDS = ["tea", "salt", "wool", "glass", "maps"]
questions = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), max_size=9)


def test_ten_thousand_lists_give_what_the_slow_filter_gives():
    draw = random.Random(0)
    for _ in range(10_000):
        asked = [draw.choices(WORDS, k=draw.randint(1, 5)) for _ in range(draw.randint(1, 5))]
        quota = draw.randint(0, 5)
        assert released_filter([" ".join(one) for one in asked], quota) == oracle.kept_places(asked, quota)


@settings(max_examples=200)
@given(questions, st.integers(1, 6))
def test_kept_questions_are_unlike_and_each_dropped_one_has_its_reason(asked, quota):
    results = list(filter_ranked(asked, quota))
    kept = [place for place, why in results if why is None]
    assert [place for place, _ in results] == list(range(len(asked))) and len(kept) <= quota
    for place, why in results:
        alike = [
            other for other in kept if other < place and oracle.f1(asked[place].split(), asked[other].split()) > 0.7
        ]
        if why == "nearly repeats a better one":
            assert alike
        else:
            assert not alike or why == "beyond the quota"


@given(questions)
def test_f_is_symmetric(asked):
    for one, other in zip(asked, asked[1:], strict=False):
        assert rouge_l(one.split(), other.split())["f"] == rouge_l(other.split(), one.split())["f"]


def test_exactly_seven_of_ten_words_are_kept_and_eight_are_not():
    ten = "甲 乙 丙 丁 戊 己 庚 辛 壬 癸"
    assert released_filter([ten, "甲 乙 丙 丁 戊 己 庚 子 丑 寅"], 5) == [0, 1]
    assert released_filter([ten, "甲 乙 丙 丁 戊 己 庚 辛 丑 寅"], 5) == [0]


def test_precision_drops_short_questions_inside_long_ones():
    asked = ["tea salt wool glass maps tea salt wool glass maps", "tea salt"]
    assert [why for _, why in filter_ranked(asked, 5)] == [None, None]
    assert [why for _, why in filter_ranked(asked, 5, measure="p")][1] == "nearly repeats a better one"


def test_empty_questions_and_quotas():
    assert list(filter_ranked(["tea"], 0)) == [(0, "beyond the quota")]
    assert list(filter_ranked(["", "tea"], 2)) == [(0, "no words"), (1, None)]
    assert released_filter(["tea"], 0) == [0] and released_filter([], 3) == []
    with pytest.raises(ValueError, match="Reference is empty"):
        released_filter(["", "tea"], 2)
    with pytest.raises(ValueError, match="Hypothesis is empty"):
        released_filter(["tea", " "], 2)


def test_what_is_near_a_test_question_goes():
    excluded = {"near an excluded question": similar_to(["how is tea grown in the hills", ""])}
    results = list(filter_ranked(["how is tea grown in hills", "why is glass clear"], 5, excluded=excluded))
    assert results == [(0, "near an excluded question"), (1, None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("什么是茶？", ["什么", "是", "茶", "？"]),
        ("3.5% of C++", ["3.5%", "of", "C++"]),
        ("a\n\nb", ["a", "", "b"]),
        ("好。\n坏", ["好", "。", "", "坏"]),
        ("........", ["......", ".."]),
        (" \t ", []),
    ],
)
def test_words_as_the_released_measure_has_them(text, expected):
    assert words(text) == expected


@pytest.fixture(scope="module")
def vocabulary():
    """Words and beginnings of words of jieba's dictionary, frequent and not; characters that are in no word of it."""
    counts, draw = chinese_words.jieba().dt.FREQ, random.Random(5)
    names = list(counts)
    frequent = [name for name in names if counts[name] > 3000]
    rare = [chr(draw.randrange(0x4E00, 0x9FD6)) for _ in range(2000)]
    return frequent, draw.sample(names, 20_000), rare, list("abcXYZ019+#&._%- \t\r\u3000\x1c\x85。，？！“”…é한ñ")


def test_words_are_jiebas(vocabulary):
    draw = random.Random(7)
    for _ in range(1500):
        kinds = draw.choices(vocabulary, weights=[4, 4, 2, 3], k=draw.randint(0, 14))
        text = "".join(map(draw.choice, kinds))
        expected = [word for word in chinese_words.jieba().lcut(text) if not word.isspace()]
        assert chinese_words.cut(text) == expected, text


def test_words_of_a_user_s_dictionary_count(vocabulary):
    jieba = chinese_words.jieba()
    assert chinese_words.cut("粟溪茶乡的人") == jieba.lcut("粟溪茶乡的人")
    jieba.add_word("粟溪茶乡")
    try:
        chinese_words._cut_run.cache_clear()
        assert chinese_words.cut("粟溪茶乡的人")[0] == "粟溪茶乡"
    finally:
        jieba.del_word("粟溪茶乡")
        chinese_words._cut_run.cache_clear()


def test_rank_is_stable_and_what_is_not_a_number_comes_last():
    assert rank([0.5, float("nan"), 1.0, 0.5, 1.0]) == [2, 4, 0, 3, 1]
