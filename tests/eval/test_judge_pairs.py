"""Judging: the published counts from the published scores, judges that do not judge, both orders, the files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CommonError, Reject
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import judge_pairs
from eval.verdicts import average, combine, outcome, parse_scores, released_scores
from tests.common.scripted_server import ok, scripted_server

ROOT = Path(__file__).parent.parent.parent
DATA = Path(__file__).parent.parent / "data" / "eval"
PUBLISHED = json.loads((DATA / "published_scores.json").read_text())


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["judge_pairs.py", *map(str, words)])
    judge_pairs.main()


@pytest.mark.parametrize(
    ("name", "counts"), [("koala_wrap_reviews_gpt3.5", (32, 110, 38)), ("vicuna_wrap_reviews_gpt4", (44, 15, 21))]
)
def test_the_published_reviews_give_the_published_counts(name, counts):
    result = combine([{"scores": scores, "scores_reverse": reverse} for scores, reverse in PUBLISHED[name]])
    assert (result["wins"], result["ties"], result["losses"]) == counts
    assert result["winning_score"] == pytest.approx((counts[0] - counts[2]) / sum(counts) + 1)


def test_averages_are_those_of_each_place():
    assert average([{"k": "[8.0, 6.0]"}, {"k": [6, 5]}], "k") == "[7.0, 5.5]"


points = st.sampled_from([1, 5, 8.5, 9, 10])


@given(points, points, points, points)
def test_a_win_needs_one_order_and_no_loss_in_the_other(a, b, shown_first, shown_second):
    row = {"scores": f"[{a}, {b}]", "scores_reverse": [shown_first, shown_second]}
    better, worse = (a > b) + (shown_second > shown_first), (a < b) + (shown_second < shown_first)
    assert outcome(row) == (1 if better > worse else -1 if worse > better else 0)
    mirrored = {"scores": [b, a], "scores_reverse": [shown_second, shown_first]}
    assert outcome(mirrored) == -outcome(row)


@pytest.mark.parametrize(
    ("review", "scores", "released"),
    [
        ("8 9\nwhy", (8, 9), [8, 9]),
        ("8,9.5", (8, 9.5), [8, 9.5]),
        ("8 7.", (8, 7), [8, 7]),
        ("1e1 3", (10, 3), [10, 3]),
        ("+8 7\u00a0", (8, 7), [8, 7]),
        ("8 9\r\n", (8, 9), [8, 9]),
        ("\n9 8.5\n", (9, 8.5), [-1, -1]),
        ("7, 8", (7, 8), [-1, -1]),
        ("7  8", (7, 8), [-1, -1]),
        (" 7\t8 ", (7, 8), [-1, -1]),
        ("1 10", (1, 10), [1, 10]),
        ("10 1.0", (10, 1), [10, 1]),
        (".5 7", None, [0.5, 7]),
        ("7 .5", None, [7, 0.5]),
        ("10.5 7", None, [10.5, 7]),
        ("0 5\n", None, [0, 5]),
        ("8 11\n", None, [8, 11]),
        ("-1 5", None, [-1, 5]),
        ("10/1\n", None, [-1, -1]),
        ("8\n9", None, [-1, -1]),
        ("Scores: 8 9", None, [-1, -1]),
        ("", None, [-1, -1]),
        ("8 9 7\n", None, [-1, -1]),
        ("nan 5", None, None),
    ],
)
def test_scores_are_two_numbers_on_the_first_line_and_never_guessed(review, scores, released):
    if scores:
        assert parse_scores(review) == scores
    else:
        with pytest.raises(Reject):
            parse_scores(review)
    assert released is None or released_scores(review) == released


@pytest.mark.parametrize("row", list(read_rows(DATA / "judge_scores.jsonl")), ids=lambda row: repr(row["review"])[:20])
def test_scores_of_awkward_reviews_as_released(row):
    assert released_scores(row["review"]) == row["scores"]


numerals = st.sampled_from(["8", "7.", ".5", "10", "11", "0", "-1", "1e1", "+8", "8.5", "nan", "x", "9/10", ""])
gaps = st.sampled_from([" ", "  ", ", ", ",", "\t", "\u00a0", "\n", "\r\n", ""])


@given(st.lists(st.tuples(gaps, numerals), max_size=4), gaps)
def test_what_the_released_code_reads_from_1_to_10_is_read_the_same(pieces, end):
    review = "".join(gap + numeral for gap, numeral in pieces) + end
    released = released_scores(review)
    if all(1 <= score <= 10 for score in released):
        assert list(parse_scores(review)) == released


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
        text = body["messages"][-1]["content"]
        if "为什么 3?" in text:
            return ok("I cannot decide.")
        return ok("9 2\nbecause" if text.index("one") < text.index("two") else "2 9\nbecause")

    wrap(monkeypatch, answers)
    with scripted_server(reply) as server:
        flags = ["--wrapped_path", answers / "wrapped.json", "--save_path", answers / "reviews.json"]
        run(monkeypatch, "judge", *flags, "--base_url", server.url, "--max_attempts", "2")
        assert sum("为什么 3?" in body["messages"][-1]["content"] for body in server.bodies) == 4
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


@pytest.mark.parametrize("with_input", [False, True])
def test_the_paper_judges_without_the_text_that_a_question_is_about(answers, monkeypatch, with_input):
    for name in ("one", "two"):
        rows = [{"instruction": "Rewrite it.", "instances": [{"input": f"text {n}"}], "response": name} for n in "ab"]
        write_rows(answers / f"{name}.jsonl", rows)
    flags = ["--answers1", answers / "one.jsonl", "--answers2", answers / "two.jsonl", "--dataset_name", "sinstruct"]
    flags += ["--input_key", "instances.0.input"] if with_input else []
    run(monkeypatch, "wrap", *flags, "--save_path", answers / "wrapped.json")
    wrapped = json.loads((answers / "wrapped.json").read_text())
    question = "Rewrite it.\ntext b" if with_input else "Rewrite it."
    assert wrapped["data"][1] == {"instruction": question, "Answer1": "one", "Answer2": "two"}
    names = {"dataset_name": "sinstruct", "fname1": str(flags[1]), "fname2": str(flags[3])}
    assert wrapped["Meta_Info"] == names


@pytest.mark.parametrize(
    ("dataset_name", "key"),
    [("vicuna", "text"), ("koala", "prompt"), ("wizardlm", "Instruction"), ("lima", "conversations")],
)
def test_each_set_of_questions_has_its_key(answers, monkeypatch, dataset_name, key):
    row = {"prompt": "wrong", key: "right", "response": "x"}
    for name in ("one", "two"):
        write_rows(answers / f"{name}.jsonl", [row])
    flags = ["--answers1", answers / "one.jsonl", "--answers2", answers / "two.jsonl", "--dataset_name", dataset_name]
    run(monkeypatch, "wrap", *flags, "--save_path", answers / "wrapped.json")
    assert json.loads((answers / "wrapped.json").read_text())["data"] == [
        {key: "right", "Answer1": "x", "Answer2": "x"}
    ]
    bare = [{"id": 1, "response": "x"}]
    write_rows(answers / "one.jsonl", bare)
    with pytest.raises(CommonError, match=f"no question in id, response, expected {key}"):
        run(monkeypatch, "wrap", *flags, "--save_path", answers / "wrapped.json")


def judge(monkeypatch, folder, url, *flags):
    paths = ["--wrapped_path", folder / "wrapped.json", "--save_path", folder / "reviews.json"]
    run(monkeypatch, "judge", *paths, "--base_url", url, *flags)


@pytest.mark.parametrize(
    ("flags", "system"), [([], True), (["--system_prompt", "Be just."], "Be just."), (["--system_prompt", ""], None)]
)
def test_the_judge_has_a_system_message(answers, monkeypatch, flags, system):
    wrap(monkeypatch, answers)
    with scripted_server(lambda body, _number: ok("9 2\nbecause")) as server:
        judge(monkeypatch, answers, server.url, *flags)
        for body in server.bodies:
            roles = [message["role"] for message in body["messages"]]
            assert roles == (["system", "user"] if system else ["user"])
            assert system in (True, None) or body["messages"][0]["content"] == system


def test_as_released_a_review_without_scores_counts_as_minus_one_and_is_not_asked_again(answers, monkeypatch):
    wrap(monkeypatch, answers)
    with scripted_server(lambda body, number: ok("8, 7\nbecause" if number % 2 else "8 7")) as server:
        judge(monkeypatch, answers, server.url, "--paper_exact")
        assert len(server.bodies) == 24
    rows = json.loads((answers / "reviews.json").read_text())["data"]
    assert (
        sorted(row[key] for row in rows for key in ("scores", "scores_reverse"))
        == ["[-1, -1]"] * 12 + ["[8.0, 7.0]"] * 12
    )
    assert not (answers / "reviews.json.rows.jsonl.rejected.jsonl").exists()


def test_the_result_says_who_judged_what(answers, monkeypatch):
    wrap(monkeypatch, answers)
    with scripted_server(lambda body, _number: ok("9 2\nbecause")) as server:
        judge(monkeypatch, answers, server.url, "--model", "my-judge")
    run(
        monkeypatch,
        "combine",
        "--review_paths",
        answers / "reviews.json",
        "--save_path",
        answers / "deep" / "result.json",
    )
    settings = json.loads((answers / "deep" / "result.json").read_text())["demo"]["settings"]
    assert settings == {"judge": "my-judge", "questions": "demo", "prompt": "this repository's"}


def test_a_second_run_on_the_same_reviews_touches_nothing_of_the_first(answers, monkeypatch):
    wrap(monkeypatch, answers)
    seen = {}

    def reply(body, number):
        if not seen:
            seen["before"] = (answers / "reviews.json.pairs.jsonl").read_bytes()
            other = json.loads((answers / "wrapped.json").read_text())
            other["data"] = other["data"][:2]
            (answers / "other.json").write_text(json.dumps(other))
            command = [sys.executable, "-m", "eval.judge_pairs", "judge", "--wrapped_path", answers / "other.json"]
            command += ["--save_path", answers / "reviews.json", "--base_url", "http://127.0.0.1:9/v1", "--model", "m"]
            seen["second"] = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
            seen["after"] = (answers / "reviews.json.pairs.jsonl").read_bytes()
        return ok("9 2\nbecause")

    with scripted_server(reply) as server:
        judge(monkeypatch, answers, server.url, "--concurrency", "1")
    assert seen["second"].returncode == 1 and "another run is writing it" in seen["second"].stderr
    assert seen["before"] == seen["after"]
    assert len(json.loads((answers / "reviews.json").read_text())["data"]) == 12


def test_nothing_is_written_over_what_is_read(answers, monkeypatch):
    wrap(monkeypatch, answers)
    (answers / "link.json").symlink_to("wrapped.json")
    (answers / "work").mkdir()
    (answers / "work" / "notes").write_text("mine")
    (answers / "template.txt").write_text("{question}{answer1}{answer2}")
    (answers / "wrapped.json.rows.jsonl").hardlink_to(answers / "wrapped.json")
    before = {path: path.read_bytes() for path in answers.rglob("*") if path.is_file()}
    wrap_flags = ["wrap", "--answers1", answers / "one.jsonl", "--answers2", answers / "two.jsonl", "--save_path"]
    judge_flags = ["judge", "--base_url", "http://127.0.0.1:9/v1", "--server_timeout", "1", "--model", "m"]
    judge_flags += ["--wrapped_path", answers / "wrapped.json"]
    with_template = [*judge_flags, "--prompt_path", answers / "template.txt", "--save_path"]
    combine_flags = ["combine", "--review_paths", answers / "wrapped.json", "--save_path"]
    for flags, path in [
        *((wrap_flags, name) for name in ("one.jsonl", "./two.jsonl", "work")),
        *(([*judge_flags, "--save_path"], name) for name in ("wrapped.json", "link.json", "work")),
        (with_template, "template.txt"),
        *((combine_flags, name) for name in ("wrapped.json", "link.json", "work")),
    ]:
        with pytest.raises(CommonError):
            run(monkeypatch, *flags, answers / path)
        assert before == {path: path.read_bytes() for path in answers.rglob("*") if path.is_file()}


def test_a_dry_run_counts_both_orders(answers, monkeypatch, capsys):
    wrap(monkeypatch, answers)
    flags = ["--wrapped_path", answers / "wrapped.json", "--save_path", answers / "reviews.json", "--dry_run"]
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "judge", *flags)
    assert not ended.value.code and re.search(r"requests +24\n", capsys.readouterr().out)
    assert {path.name for path in answers.iterdir()} == {"one.jsonl", "two.jsonl", "wrapped.json"}


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


def test_reviews_read_otherwise_than_released_are_counted(tmp_path, monkeypatch, capsys):
    reviews = ["8 7", "8, 7", "0 5", "who knows"]
    rows = [{"review": review, "review_reverse": "8 7"} for review in reviews]
    (tmp_path / "r.json").write_text(json.dumps({"data": rows}))
    run(monkeypatch, "compare", "--review_paths", tmp_path / "r.json")
    assert "8 reviews; 1 read here alone, 1 there alone, by neither 1 " in capsys.readouterr().out
