"""Arena-Hard: verdicts read as published, the weighted mean, and style taken out by a fit checked against another."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest

from common.llm.standin import standin_server
from common.rows import write_rows
from eval import arena_hard


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("My final verdict is: [[A>B]]", "A>B"),
        ("[[a>>b]]", "A>>B"),
        ("First [[A>B]], then rather [[B>A]]", "B>A"),
        ("[A=B]", "A=B"),
        ("[[A<<B]]", "A<<B"),
        ("[[A]]", None),
        ("A>B", None),
    ],
)
def test_verdicts_are_read_as_published(text, verdict):
    assert arena_hard.parse_verdict(text) == verdict


def row(first, second, style=((10, 0, 0, 0), (10, 0, 0, 0))):
    return {"verdicts": [first, second], "style": style}


def test_a_model_like_the_baseline_has_50_and_strong_verdicts_count_three_times():
    assert arena_hard.score([row("A=B", "A=B"), row("A>B", "A>B")], False, 0)["score"] == 50
    # The baseline stands first in the first verdict: B>>A is three wins, A>B in the second one win more.
    result = arena_hard.score([row("B>>A", "B>A"), row(None, "A>B")], False, 0)
    assert result["score"] == pytest.approx(100 * 4 / 5) and result["unparsed"] == 1


def test_style_without_spread_leaves_the_score_and_a_planted_length_bias_is_removed():
    draw = random.Random(0)
    same = [row(draw.choice(["A>B", "B>A", "B>>A"]), draw.choice(["A>B", "B>A", "A=B"])) for _ in range(200)]
    plain, controlled = (arena_hard.score(same, control, 0)["score"] for control in (False, True))
    assert controlled == pytest.approx(plain, abs=0.05)
    biased = []
    for number in range(2000):
        longer = number % 4 > 0  # the model mostly writes more, and the judge likes that three times out of four
        first, second = (draw.random() < (0.75 if longer else 0.25) for _ in range(2))
        style = ((30, 0, 0, 0), (10, 0, 0, 0)) if longer else ((10, 0, 0, 0), (30, 0, 0, 0))
        biased.append(row("B>A" if first else "A>B", "A>B" if second else "B>A", style))
    plain, controlled = (arena_hard.score(biased, control, 0)["score"] for control in (False, True))
    assert plain > 60 and abs(controlled - 50) < 3


def test_the_fit_is_the_likelihoods_maximum():
    draw = np.random.default_rng(1)
    shares, weights = draw.choice([0.0, 0.5, 1.0], 300), draw.choice([1.0, 3.0], 300)
    styles = draw.normal(size=(300, 4))
    found = arena_hard.win_rate(shares, weights, styles, True)
    features = np.column_stack([np.ones(300), styles / styles.std(axis=0)])
    beta = np.zeros(5)
    for _ in range(30):  # Newton's steps
        chance = 1 / (1 + np.exp(-features @ beta))
        gradient = features.T @ (weights * (shares - chance))
        beta += np.linalg.solve((features * (weights * chance * (1 - chance))[:, None]).T @ features, gradient)
    assert found == pytest.approx(100 / (1 + np.exp(-beta[0])), abs=1e-2)


def test_style_counts_what_stands_outside_code():
    text = "# Title\n\n- one\n- two\n1. three\n\n**bold** and __bold__\n```\n# no\n- no\n```"
    assert arena_hard.style_of(text)[1:] == [1, 3, 2]


def test_judged_and_scored_as_commands(tmp_path):
    answers = [{"question_id": n, "turns": [{"content": f"What is {n}?"}], "response": "x" * n} for n in range(6)]
    baseline = [{"question_id": n, "choices": [{"turns": [{"content": "y" * 3}]}]} for n in range(6)]
    write_rows(tmp_path / "answers.jsonl", answers)
    write_rows(tmp_path / "baseline.jsonl", baseline)
    paths = ["--data_path", tmp_path / "answers.jsonl", "--baseline", tmp_path / "baseline.jsonl"]
    with standin_server() as url:
        command = ["judge", *paths, "--save_path", tmp_path / "verdicts.jsonl", "--base_url", url]
        subprocess.run([sys.executable, "eval/arena_hard.py", *map(str, command)], check=True)
    command = ["score", "--data_path", tmp_path / "verdicts.jsonl", "--save_path", tmp_path / "result.json"]
    done = subprocess.run([sys.executable, "eval/arena_hard.py", *map(str, command)], capture_output=True, text=True)
    result = json.loads(done.stdout)
    assert result == json.loads((tmp_path / "result.json").read_text()) and result["verdicts"] == 12
    assert 0 <= result["interval"][0] <= result["score"] <= result["interval"][1] <= 100


def test_rows_of_something_else_and_the_input_as_output_are_refused(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"prompt": "x"}])
    for save_path, problem in ((tmp_path / "result.json", "row 0: no 'verdicts'"), (tmp_path / "rows.jsonl", "both")):
        command = ["score", "--data_path", tmp_path / "rows.jsonl", "--save_path", save_path]
        done = subprocess.run(
            [sys.executable, "eval/arena_hard.py", *map(str, command)], capture_output=True, text=True
        )
        assert done.returncode == 1 and problem in done.stderr and "Traceback" not in done.stderr
