"""HumanEval: the published solutions pass, nothing passes that should not, and no code runs unasked."""

import json
import subprocess
import sys

import pytest

from common.rows import read_rows, write_rows
from eval.humaneval import completion_of, problems

PROMPT = 'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """Add."""\n'


@pytest.mark.parametrize(
    "response",
    [
        "```python\ndef add(a, b):\n    return a + b\n```",
        "Here it is:\n```\ndef add(a, b):\n    return a + b\n```\nIt adds.\n```python\nadd(1, 2)\n```",
        "    return a + b\n",
        "return a + b",
        "def add(a, b):\n    return a + b",
        "```python\ndef add(a, b):\n    return a + b",  # cut off
    ],
)
def test_the_code_is_found_in_the_answer(response):
    names: dict = {}
    exec(completion_of(response, PROMPT, "add"), names)
    assert names["add"](1, 2) == 3 and "List" in names


def score(tmp_path, rows, *more):
    write_rows(tmp_path / "answers.jsonl", rows)
    command = ["score", "--data_path", tmp_path / "answers.jsonl", "--save_path", tmp_path / "scored.jsonl", *more]
    return subprocess.run([sys.executable, "eval/humaneval.py", *map(str, command)], capture_output=True, text=True)


def test_solutions_pass_and_nothing_else_does(tmp_path):
    first = list(problems().values())[:4]
    rows = [{"task_id": one["task_id"], "response": one["canonical_solution"]} for one in first]
    rows += [{"task_id": first[0]["task_id"], "response": "    return None\n"}]
    rows += [{"task_id": first[1]["task_id"], "response": "    while True:\n        pass\n"}]
    rows += [{"task_id": first[2]["task_id"], "response": "this is not Python"}]
    done = score(tmp_path, rows, "--allow_code", "--timeout", "1", "--num_workers", "2")
    assert json.loads(done.stdout) == {"pass@1": 4 / 7, "rows": 7, "note": "first 7 of 164 rows"}, done.stderr
    scored = list(read_rows(tmp_path / "scored.jsonl"))
    assert [row["passed"] for row in scored] == [True] * 4 + [False] * 3
    assert scored[5]["reason"] == "timed out"


def test_no_code_runs_unasked(tmp_path):
    done = score(tmp_path, [{"task_id": "HumanEval/0", "response": "x"}])
    assert done.returncode == 1 and "--allow_code" in done.stderr and not (tmp_path / "scored.jsonl").exists()


def test_the_questions_are_those_of_the_package(tmp_path):
    command = [sys.executable, "eval/humaneval.py", "questions", "--save_path", str(tmp_path / "questions.jsonl")]
    subprocess.run(command, check=True, capture_output=True)
    assert len(list(read_rows(tmp_path / "questions.jsonl"))) == 164
