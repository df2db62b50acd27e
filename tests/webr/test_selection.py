"""How many rows of each side, how many pages they take, which pages are used twice; rows kept in a file."""

import datetime
from collections import Counter

import pytest

from common.errors import CommonError
from webr import as_released, selection


def rows_of(*rows):
    kept = selection.Rows()
    for side, page in rows:
        kept.add({"webpage": page, "request": "r", "response": "a"}, side)
    return kept


def many(instructions, responses):
    return rows_of(*[("WI", f"i{n}") for n in range(instructions)], *[("WR", f"r{n}") for n in range(responses)])


@pytest.mark.parametrize(
    "accepted, number, ratio, expected",
    [
        ((30, 20), None, None, (30, 20)),
        ((30, 20), None, [2, 1], (30, 15)),
        ((30, 5), None, [2, 1], (10, 5)),
        ((30, 20), None, [0, 1], (0, 20)),
        ((30, 20), 10, [2, 1], (7, 3)),
        ((30, 20), 10, None, (6, 4)),
        ((30, 20), 90, [2, 1], (60, 30)),  # more than there are: who asks is told so
        ((0, 0), 10, None, (0, 0)),
        ((0, 4), 2, None, (0, 2)),
    ],
)
def test_how_many_of_each_side(accepted, number, ratio, expected):
    assert selection.shares(dict(zip(("WI", "WR"), accepted, strict=True)), number, ratio) == {
        "WI": expected[0],
        "WR": expected[1],
    }


def test_how_many_pages_a_number_of_rows_takes():
    rows = many(30, 20)
    assert selection.pages_needed(rows, 100, 31, [2, 1]) == 70  # of WI 21: 100 * 21 / 30; of WR 10: 50
    assert selection.pages_needed(rows, 100, 45, [2, 1]) == 100 and selection.pages_needed(rows, 100, 1, [0, 1]) == 5
    rows.reject(0, "why")
    short = r"45 rows take about 104 pages like these; there were 100 \(30 WI wanted, 29 accepted\)"
    with pytest.raises(CommonError, match=short):
        selection.pages_needed(rows, 100, 45, [2, 1])
    with pytest.raises(CommonError, match="--save_num 3 cannot be reached with any number.*: 2 WI wanted, 0 accepted"):
        selection.pages_needed(many(0, 9), 100, 3, [2, 1])
    assert selection.pages_needed(many(0, 9), 100, 3, [0, 1]) == 34


def test_a_page_serves_one_response_and_none_if_it_is_part_of_an_instruction():
    rows = rows_of(
        ("WR", "a"), ("WI", "b"), ("WR", "a"), ("WR", "b"), ("WI", "b"), ("WR", "c"), ("WI", "d"), ("WR", "d")
    )
    rows.reject(6, "refusal")  # so its page is free
    selection.reject_pages_used_twice(rows)
    assert rows.reasons == {
        2: "page is used for another response",
        3: "page is used for an instruction",
        6: "refusal",
    }
    assert rows.repeats == {2: 0, 3: 1}


def test_rows_are_kept_in_a_file_and_come_back_by_number():
    with selection.Rows() as rows:
        texts = ["one", "zwei\n\u2028", "\ud83d", "x" * 5000]
        assert [
            rows.add({"text": text, "day": datetime.date(2026, 1, n + 1)}, "WI") for n, text in enumerate(texts)
        ] == [0, 1, 2, 3]
        assert rows[3]["text"] == texts[3] and rows[1] == {"text": texts[1], "day": "2026-01-02"}
        assert rows.add({"text": "last"}, "WR") == 4  # after reading, too
        assert [rows[n]["text"] for n in (4, 0, 2)] == ["last", "one", "\ud83d"]
        rows.reject(0, "why")
        assert (rows.left(), rows.left("WI"), rows.left("WR")) == ([1, 2, 3, 4], [1, 2, 3], [4])


def test_half_of_the_requests_go_first_whatever_the_other_rows():
    rows = many(400, 100)
    chosen, first = selection.choose(rows, None, None, seed=3)
    assert sorted(chosen) == list(range(500)) and 210 < sum(first.values()) < 290
    fewer, again = selection.choose(rows, 30, [2, 1], seed=3)
    assert Counter(rows.sides[number] for number in fewer) == {"WI": 20, "WR": 10}
    assert all(first[number] == place for number, place in again.items())
    assert selection.choose(rows, None, None, seed=4)[1] != first


def test_the_reasons_that_left_no_row():
    rows = many(3, 9)
    for number in range(2, 12):
        rows.reject(number, "refusal" if number < 6 else "no request" if number < 9 else f"other {number}")
    assert selection.most_frequent_reasons(rows) == "4 refusal, 3 no request, 2 ratio of WI to WR"


def test_as_released_a_number_of_rows_is_cut_off_and_pages_used_before_are_named(monkeypatch):
    monkeypatch.setattr(as_released, "MOST", {"WI": 3, "WR": 2})
    rows = rows_of(
        *[("WI", f"i{n}") for n in range(5)], *[("WR", page) for page in ("x", "x", "i0", "i1", "i2", "i3", "i4")]
    )
    chosen, first = selection.choose_as_released(rows, 4, seed=0)
    assert [rows.sides[number] for number in chosen] == ["WI", "WI", "WI", "WR"] and len(first) == 3
    assert rows.reasons == {}  # both responses that are wanted were found, so no others are looked at
    assert len(selection.choose_as_released(rows, None, seed=0)[0]) == 5
    few = rows_of(("WI", "a"), ("WR", "a"), ("WR", "b"))
    assert selection.choose_as_released(few, None, seed=0)[0] == [0, 2] and few.reasons == {1: "page is used already"}
