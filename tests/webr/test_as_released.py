"""The released rules against slow versions, on alphabets that provoke them, and against rows of the released code."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import webr_as_released as oracle
from webr import as_released
from webr.sections import take_section

pieces = ["Here is", "Here's", "here is", '"', "“", "\n", "\n\n", "\r\n\r\n", " ", "\u00a0", "#", "-", "---", "\t"]
pieces += ["Improved Answer", "improved answer", "İmproved answer", "I'm sorry", "x", "。", "\u2028", "\ud800"]
awkward = st.lists(st.sampled_from(pieces), max_size=14).map("".join)


@given(awkward)
def test_stored_answers(text):
    assert as_released.clean(text) == oracle.stored_answer(text)


@given(awkward)
def test_improved_answers(text):
    assert as_released.without_improvement_note(text) == oracle.improved_answer(text)


@given(awkward, st.integers())
def test_sections_of_any_page(page, seed):
    prefixes = oracle.prefixes(page)
    pieces = as_released.sections(page)
    assert ["\n\n".join(pieces[: count + 1]) for count in range(len(pieces))] == prefixes
    assert take_section(page, random.Random(seed), paper_exact=True) in prefixes


@pytest.mark.parametrize(
    "page, whole",
    [("# Title", "# Title"), ("A \n\nB\n", "A\n\nB"), ("A\n\n\nB", "A\n\nB"), ("# # A\n\nB", "# A\n\nB"), ("", "")],
)
def test_sections_as_the_released_code_gave_them(page, whole):
    assert "\n\n".join(as_released.sections(page)) == whole


@pytest.mark.parametrize(
    "text, refusal",
    [
        ("I'm sorry, no", True),
        ("I apologize", True),
        (" I'm sorry", False),
        ("I’m sorry", False),
        ("i apologize", False),
    ],
)
def test_refusals(text, refusal):
    assert as_released.is_refusal(text) is refusal


@given(st.integers(0, 5000), st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any))
def test_shares_are_rounded_down_and_the_last_takes_the_rest(count, ratio):
    whole = count // sum(ratio)
    assert as_released.sizes(count, ratio) == [whole * part for part in ratio[:3]] + [count - whole * sum(ratio[:3])]


# ---------------------------------------------------------------- choice of rows


def released_choice(instructions, responses, page_of, seed, most):
    """The obvious version: the global generator, one row at a time."""
    random.seed(seed)
    random.shuffle(instructions)
    random.shuffle(responses)
    taken = instructions[: most["WI"]]
    pages, answered = {page_of(row) for row in taken}, []
    for row in responses:
        if page_of(row) not in pages:
            answered.append(row)
            pages.add(page_of(row))
        if len(answered) == most["WR"]:
            break
    return taken, answered, [random.uniform(0, 1) > 0.5 for _ in taken]


rows = st.lists(st.tuples(st.integers(0, 99), st.sampled_from("abcdefgh")), max_size=20)


@given(rows, rows, st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None)
def test_rows_are_chosen_as_by_the_released_code_with_that_seed(instructions, responses, seed, most_wi, most_wr):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_released, "MOST", {"WI": most_wi, "WR": most_wr})
        chosen = as_released.choose(instructions, responses, lambda row: row[1], random.Random(seed))
    expected = released_choice([*instructions], [*responses], lambda row: row[1], seed, {"WI": most_wi, "WR": most_wr})
    assert chosen == expected


def test_reference_rows():
    """A few rows of the released code's own results: awkward pages and answers."""
    data = json.loads((Path(__file__).parents[1] / "data" / "webr" / "hard.json").read_text(encoding="utf-8"))
    for row in data["sections"]:
        assert "\n\n".join(as_released.sections(row["page"])) == row["all"]
    for row in data["answers"]:
        assert as_released.clean(row["request_raw"]) == row["request_local"]
        assert as_released.clean(row["response_raw"]) == row["response_local"]
        if row["post_local"]["kept"] and row["side"] == "WR":
            final = as_released.without_improvement_note(row["response_local"])
            assert final == row["post_local"]["final_response"]
