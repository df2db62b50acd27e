"""Judging: the published counts from the published scores, judges that do not judge, both orders, the files."""

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CommonError, Reject
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import judge_pairs
from eval.judge_pairs import combine, outcome, parse_scores
from tests.common.scripted_server import ok, scripted_server

PUBLISHED = json.loads((Path(__file__).parent.parent / "data" / "eval" / "published_scores.json").read_text())


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["judge_pairs.py", *map(str, words)])
    judge_pairs.main()


@pytest.mark.parametrize(
    ("name", "counts"), [("koala_wrap_reviews_gpt3.5", (32, 110, 38)), ("vicuna_wrap_reviews_gpt4", (44, 15, 21))]
)
def test_the_published_reviews_give_the_published_counts(name, counts):
    result = combine([{"scores": scores, "scores_reverse": reverse} for scores, reverse in PUBLISHED[name]])
    assert (result["wins"], result["ties"], result["losses"]) == counts


points = st.sampled_from([1, 5, 8.5, 9, 10])


@given(points, points, points, points)
def test_a_win_needs_one_order_and_no_loss_in_the_other(a, b, shown_first, shown_second):
    row = {"scores": f"[{a}, {b}]", "scores_reverse": [shown_first, shown_second]}
    better, worse = (a > b) + (shown_second > shown_first), (a < b) + (shown_second < shown_first)
    assert outcome(row) == (1 if better > worse else -1 if worse > better else 0)
    mirrored = {"scores": [b, a], "scores_reverse": [shown_second, shown_first]}
    assert outcome(mirrored) == -outcome(row)


@pytest.mark.parametrize(
    ("review", "scores"),
    [
        ("8 9\nwhy", (8, 9)),
        ("\n9 8.5\n", (9, 8.5)),
        ("7, 8", (7, 8)),
        ("10/1\n", None),
        ("8/10\n", None),
        ("8\n9", None),
    ]
    + [("Scores: 8 9", None), ("", None), ("0 5\n", None), ("8 11\n", None), ("8 9 7\n", None), ("-1 5", None)],
)
def test_scores_are_two_numbers_on_the_first_line_and_never_guessed(review, scores):
    if scores:
        assert parse_scores(review) == scores
    else:
        with pytest.raises(Reject):
            parse_scores(review)


@pytest.fixture
def answers(tmp_path):
    for name, words in (("one", 3), ("two", 1)):
        rows = [{"prompt": f"为什么 {n}?", "response": f"{name} {n}. " * words} for n in range(12)]
        write_rows(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


def wrap(monkeypatch, folder):
    flags = ["--answers1", folder / "one.jsonl", "--answers2", folder / "two.jsonl"]
    run(monkeypatch, "wrap", *flags, "--save_path", folder / "wrapped.json", "--dataset_name", "demo")


def test_from_answers_to_the_figure_with_the_embedded_server(answers, monkeypatch):
    wrap(monkeypatch, answers)
    with standin_server(faults=0.2, hang_seconds=0.1) as url:
        flags = ["--wrapped_path", answers / "wrapped.json", "--save_path", answers / "reviews.json"]
        run(monkeypatch, "judge", *flags, "--base_url", url, "--request_timeout", "2")
    reviews = json.loads((answers / "reviews.json").read_text())
    assert reviews["Meta_Info"]["dataset_name"] == "demo" and "average_scores_reverse" in reviews["Meta_Info"]
    keys = ["prompt", "Answer1", "Answer2", "review", "scores", "review_reverse", "scores_reverse"]
    assert [list(row) for row in reviews["data"]] == [keys] * 12
    run(monkeypatch, "combine", "--review_paths", answers / "reviews.json", "--save_path", answers / "result.json")
    result = json.loads((answers / "result.json").read_text())["demo"]
    assert result["wins"] + result["ties"] + result["losses"] == 12
    assert (answers / "result.png").read_bytes().startswith(b"\x89PNG")


def test_a_judge_who_does_not_judge_is_asked_again_and_the_pair_set_aside(answers, monkeypatch):
    def reply(body, _number):
        text = body["messages"][0]["content"]
        if "为什么 3?" in text:
            return ok("I cannot decide.")
        return ok("9 2\nbecause" if text.index("one") < text.index("two") else "2 9\nbecause")

    wrap(monkeypatch, answers)
    with scripted_server(reply) as server:
        flags = ["--wrapped_path", answers / "wrapped.json", "--save_path", answers / "reviews.json"]
        run(monkeypatch, "judge", *flags, "--base_url", server.url, "--max_attempts", "2")
        assert sum("为什么 3?" in body["messages"][0]["content"] for body in server.bodies) == 4
    (rejected,) = read_rows(answers / "reviews.json.rows.jsonl.rejected.jsonl")
    assert rejected["index"] == 3 and rejected["answer"] == "I cannot decide."
    reviews = json.loads((answers / "reviews.json").read_text())
    assert len(reviews["data"]) == 11
    assert combine(reviews["data"]) == {"wins": 11, "ties": 0, "losses": 0, "winning_score": 2.0}


def test_answers_to_other_questions_are_refused(answers, monkeypatch):
    write_rows(answers / "two.jsonl", [{"prompt": f"other {n}", "response": "x"} for n in range(12)])
    with pytest.raises(CommonError, match="row 0: .* answer different questions"):
        wrap(monkeypatch, answers)
    write_rows(answers / "two.jsonl", [{"prompt": "x", "response": "x"}])
    with pytest.raises(CommonError, match="not the same questions"):
        wrap(monkeypatch, answers)


def test_the_judge_sees_the_text_that_a_question_is_about(answers, monkeypatch):
    for name in ("one", "two"):
        rows = [{"instruction": "Rewrite it.", "instances": [{"input": f"text {n}"}], "response": name} for n in "ab"]
        write_rows(answers / f"{name}.jsonl", rows)
    flags = ["--answers1", answers / "one.jsonl", "--answers2", answers / "two.jsonl"]
    flags += ["--save_path", answers / "wrapped.json", "--input_key", "instances.0.input"]
    run(monkeypatch, "wrap", *flags)
    assert "text b" in json.loads((answers / "wrapped.json").read_text())["data"][1]["prompt"]


def test_a_dry_run_counts_both_orders(answers, monkeypatch, capsys):
    wrap(monkeypatch, answers)
    flags = ["--wrapped_path", answers / "wrapped.json", "--save_path", answers / "reviews.json", "--dry_run"]
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "judge", *flags)
    assert not ended.value.code and re.search(r"requests +24\n", capsys.readouterr().out)
    assert not (answers / "reviews.json").exists()


def test_files_of_the_same_questions_stay_apart_and_an_empty_one_is_named(tmp_path, monkeypatch):
    won = {"scores": "[9, 1]", "scores_reverse": "[1, 9]"}
    for name, rows in (("a", [won]), ("b", [won, won]), ("none", [])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"Meta_Info": {"dataset_name": "koala"}, "data": rows}))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    run(monkeypatch, "combine", "--review_paths", *paths, "--save_path", tmp_path / "result.json")
    wins = {name: result["wins"] for name, result in json.loads((tmp_path / "result.json").read_text()).items()}
    assert wins == {"koala": 1, str(paths[1]): 2, "all": 3}
    with pytest.raises(CommonError, match="none.json: no judged pair"):
        run(monkeypatch, "combine", "--review_paths", tmp_path / "none.json", "--save_path", tmp_path / "x.json")
