"""MT-Bench: ratings read as published, two turns asked one after the other, references where there are some."""

import json
import subprocess
import sys

import pytest

from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import mt_bench

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write about a river.", "Now in one sentence."]},
    {"question_id": 111, "category": "math", "turns": ["What is 7 times 8?", "And half of it?"]},
]
REFERENCES = [{"question_id": 111, "choices": [{"turns": ["7 times 8 is 56.", "Half of 56 is 28."]}]}]


@pytest.mark.parametrize(
    ("verdict", "rating"),
    [
        ("Good. Rating: [[7]]", 7),
        ("[6]", 6),
        ("[[8.5]]", 8.5),
        ("score 7", None),
        ("[[7/10]]", None),
        ("[[10]] no [[3]]", 10),
        ("[[11]]", None),
        ("", None),
    ],
)
def test_ratings_are_read_as_published(verdict, rating):
    assert mt_bench.parse_rating(verdict) == rating


def run(*arguments, url):
    command = [sys.executable, "eval/mt_bench.py", *map(str, arguments), "--base_url", url]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def url():
    with standin_server() as url:
        yield url


def test_both_turns_are_answered_and_judged(tmp_path, url):
    questions, answers, scored = (tmp_path / f"{name}.jsonl" for name in ("questions", "answers", "scored"))
    write_rows(questions, QUESTIONS)
    write_rows(tmp_path / "references.jsonl", REFERENCES)
    assert run("answer", "--data_path", questions, "--save_path", answers, url=url).returncode == 0
    rows = list(read_rows(answers))
    assert [len(row["answers"]) for row in rows] == [2, 2] and all(text for row in rows for text in row["answers"])
    references = ["--reference", tmp_path / "references.jsonl"]
    done = run("judge", "--data_path", answers, *references, "--save_path", scored, url=url)
    result = json.loads(done.stdout)
    scores = [score for row in read_rows(scored) for score in row["scores"]]
    assert result["score"] == sum(scores) / 4 and (result["verdicts"], result["unparsed"]) == (4, 0)
    assert result["settings"]["judge"] == "stand-in" and set(result["by_category"]) == {"writing", "math"}


def test_the_judge_sees_the_reference_and_both_turns():
    row = QUESTIONS[1] | {"answers": ["56", "28"]}
    prompts = mt_bench.judge_prompts(None)
    first = mt_bench.judge_messages(row, 0, REFERENCES[0]["choices"][0]["turns"], prompts)[1]["content"]
    second = mt_bench.judge_messages(row, 1, REFERENCES[0]["choices"][0]["turns"], prompts)[1]["content"]
    assert "7 times 8 is 56." in first and "half of it" not in first
    assert all(text in second for text in ("What is 7 times 8?", "And half of it?", "Half of 56 is 28.", "28"))
    assert "Reference" not in mt_bench.judge_messages(row, 0, None, prompts)[1]["content"]


def test_verdicts_that_cannot_be_read_are_counted_not_guessed():
    judged = [{"category": "math", "scores": [None, 4.0]}, {"category": "math", "scores": [8.0, None]}]
    result = mt_bench.result_of(judged)
    assert (result["score"], result["unparsed"], result["first_turn"], result["second_turn"]) == (6.0, 2, 8.0, 4.0)
