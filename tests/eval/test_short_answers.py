"""Exact match of short answers: what counts as the same, whatever form the golds come in."""

import json
import subprocess
import sys

import pytest

from common.errors import BadValue
from common.rows import read_rows, write_rows
from eval.short_answers import exact, f1, golds_of


@pytest.mark.parametrize(
    ("answer", "golds", "same"),
    [
        ("The Broncos!", ["broncos"], True),
        ("1,000", ["1000"], True),
        ("an apple", ["apple pie"], False),
        ("北京。", ["北京"], True),
        ("", ["x"], False),
        ("a", ["the"], True),  # nothing is left of either
    ],
)
def test_what_is_the_same(answer, golds, same):
    assert exact(answer, golds) == same


def test_golds_in_every_form():
    assert golds_of({"text": ["x", "y"]}) == ["x", "y"]
    assert golds_of({"value": "x", "aliases": ["y"]}) == ["x", "y"]
    assert golds_of("x") == ["x"] and golds_of(7) == ["7"] and golds_of(["x", ""]) == ["x"]
    for nothing in ([], {}, "", None):
        with pytest.raises(BadValue):
            golds_of(nothing)


def test_f1_counts_shared_words():
    assert f1("the red house", ["a red house"]) == 1
    assert f1("red house", ["red barn", "blue"]) == pytest.approx(0.5)
    assert f1("", ["x"]) == 0


def test_as_a_command(tmp_path):
    rows = [{"answers": ["Rome"], "response": "Rome."}, {"answers": ["Rome"], "response": "Paris"}]
    write_rows(tmp_path / "in.jsonl", rows)
    command = ["eval/short_answers.py", "--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl"]
    done = subprocess.run(
        [sys.executable, *map(str, command), "--golden_key", "answers"], capture_output=True, text=True
    )
    assert json.loads(done.stdout) == {"exact_match": 0.5, "f1": 0.5, "rows": 2}
    assert [row["match"] for row in read_rows(tmp_path / "out.jsonl")] == [True, False]
