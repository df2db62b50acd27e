import pytest
from hypothesis import given
from hypothesis import strategies as st

from webr.guards import NGRAM, Guards, copied_share, row_fault

PAGE = (
    "The committee will publish its report on the flood in the spring, and farmers who live by the river are asked to"
    " send their comments before the end of the month, so that they can be printed with it."
)
REQUEST = "Turn this notice into a short letter to the farmers by the river."
RESPONSE = "Dear neighbours, our report on the flood is nearly ready. Please write to us by the end of this month!"


def test_a_good_row_passes():
    assert row_fault(REQUEST, RESPONSE, PAGE, "en", Guards()) is None


@pytest.mark.parametrize(
    "row, reason",
    [
        (dict(request="Shorten"), "request shorter than 10 characters"),
        (dict(response="Come in May."), "response shorter than 20 characters"),
        (
            dict(response="委员会将在春天公布关于洪水的报告，并请农民提出意见和建议。"),
            "response is in 中文, page in English",
        ),
        (dict(request="Resume el aviso para los agricultores de la zona."), "request is in español, page in English"),
        (dict(response=PAGE), "response copies the page (over 80% of its 8-grams)"),
    ],
)
def test_a_fault_is_named(row, reason):
    row = {"request": REQUEST, "response": RESPONSE, **row}
    assert row_fault(row["request"], row["response"], PAGE, "en", Guards()) == reason
    off = Guards(any_language=True, max_copied=1, min_request_chars=0, min_response_chars=0)
    assert row_fault(row["request"], row["response"], PAGE, "en", off) is None


def test_the_longest_response():
    assert (
        row_fault(REQUEST, RESPONSE, PAGE, "en", Guards(max_response_chars=50)) == "response longer than 50 characters"
    )


def test_a_text_or_page_of_unknown_language_passes():
    formula = "x = 1; y = 2; z = x + y; z == 3"
    assert row_fault(REQUEST, formula, PAGE, "en", Guards()) is None
    assert row_fault(REQUEST, RESPONSE, PAGE, "und", Guards()) is None


@pytest.mark.parametrize(
    "text", ["委员会将在春天公布关于洪水的报告", "one two three four five six seven eight nine ten"]
)
def test_copies_are_found_in_any_script(text):
    assert copied_share(text, "…" + text.upper() + "…") == 1
    assert copied_share(text, text[::-1]) == 0


words = st.lists(st.sampled_from("a b c d".split()), max_size=30)


@given(words, words)
def test_copied_share_is_the_share_of_runs_that_stand_in_the_source(text, source):
    n = min(NGRAM, len(text))
    runs = [" ".join(text[start : start + n]) for start in range(len(text) - n + 1)] if n else []
    found = [run for run in runs if f" {run} " in f" {' '.join(source)} "]
    assert copied_share(" ".join(text), " ".join(source)) == (len(found) / len(runs) if runs else 0)


def test_a_short_chinese_request_says_enough():
    assert (
        row_fault("如何制作红烧肉？", "先把肉切块，焯水，再加糖炒色，最后小火炖一小时即可。", "页", "zh", Guards())
        is None
    )
