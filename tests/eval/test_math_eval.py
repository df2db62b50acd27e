"""Verdicts on Ape210k and CMATH: as recorded from the released code, and by value."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows import read_rows
from eval import cmath_eval, evaluate_ape210k

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data" / "web_to_sft"
APE = list(read_rows(DATA / "ape210k_expected.jsonl"))
CMATH = list(read_rows(DATA / "cmath_expected.jsonl"))


def run(module, *arguments):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("row", APE, ids=range(len(APE)))
def test_ape210k_as_released(row):
    assert evaluate_ape210k.judge(row["target"], row["output"])[0] == bool(row["is_correct"])


@pytest.mark.parametrize("row", CMATH, ids=range(len(CMATH)))
def test_cmath_as_released(row):
    match, extracted, _ = cmath_eval.judge(row["golden"], row["response"])
    assert (match, sorted(set(extracted))) == (row["match"], row["extracted"])


@pytest.mark.parametrize(
    ("target", "output", "released", "by_value"),
    [
        ("0.5", "答：0.50元", False, True),
        ("(3/2)", "答：1.5米", False, True),
        ("2(1/2)", "答：2.5米", False, True),
        ("25%", "答：0.25", False, True),
        ("20", "$20$", False, True),
        ("20", "答：120元", False, False),
        ("20", "20*3=60\n答：60元", False, False),
        ("1", "（1）5元\n（2）279元", True, False),
        ("12", "故答案为：12．", True, True),
        ("12", "", False, False),
    ],
)
def test_ape210k_verdicts(target, output, released, by_value):
    assert evaluate_ape210k.judge(target, output)[0] == released
    assert evaluate_ape210k.judge_by_value(target, output) == by_value


@given(st.integers(0, 10**6), st.integers(0, 9))
def test_an_answer_is_not_cut_out_of_a_longer_number(number, digit):
    assert evaluate_ape210k.judge(str(number), f"答：{number}元")[0]
    assert not evaluate_ape210k.judge(str(number), f"答：{number}{digit}元")[0]


@pytest.mark.parametrize(
    ("golden", "response", "released", "last"),
    [
        ("7", "每人7个，共3人", True, False),  # any of the last two numbers counts, as released
        ("-5", "结果是-5", False, True),  # the sign is lost, as released
        ("2/3", "大约3分之2", True, True),
        ("1000", "共1,000元", True, True),
        ("100", "大约100.9", True, True),
        ("100", "大约101.1", False, False),
        ("0", "是0", True, True),
    ],
)
def test_cmath_verdicts(golden, response, released, last):
    assert cmath_eval.judge(golden, response)[0] == released
    assert cmath_eval.judge_last(golden, response) == last


def test_evaluate_ape210k_as_a_user_runs_it(tmp_path):
    (tmp_path / "model").mkdir()
    lines = (DATA / "ape210k_expected.jsonl").read_text(encoding="utf-8")
    (tmp_path / "model" / "eval_test.ape.jsonl").write_text(lines, encoding="utf-8")
    done = run("eval.evaluate_ape210k", "--base_output_path", tmp_path, "--ckpt_name", "model")
    assert done.returncode == 0, done.stderr
    expected = sum(row["is_correct"] for row in APE) / len(APE)
    assert json.loads(done.stdout)["accuracy"] == pytest.approx(expected)
    scored = list(read_rows(tmp_path / "model" / "eval_test.ape.jsonl.scored.jsonl"))
    assert [row["is_correct"] for row in scored] == [row["is_correct"] for row in APE]
    assert all(row["reason"] for row in scored)


def test_cmath_eval_as_a_user_runs_it(tmp_path):
    rows = [row | {"grade": place % 6 + 1} for place, row in enumerate(CMATH)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "cmath_dev.jsonl").write_text(text, encoding="utf-8")
    done = run("eval.cmath_eval", "--response_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["accuracy"] == pytest.approx(sum(row["match"] for row in CMATH) / len(CMATH))
    for grade, accuracy in result["by_grade"].items():
        matches = [row["match"] for row in rows if str(row["grade"]) == grade]
        assert accuracy == pytest.approx(sum(matches) / len(matches))


def test_a_row_without_answer_is_named(tmp_path):
    (tmp_path / "eval_test.ape.jsonl").write_text('{"target": "1"}\n', encoding="utf-8")
    done = run("eval.evaluate_ape210k", "--base_output_path", tmp_path)
    assert done.returncode == 1
    assert "row 0" in done.stderr and "'output'" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_without_responses_is_named(tmp_path):
    done = run("eval.cmath_eval", "--response_dir", tmp_path)
    assert done.returncode == 1 and "cmath_dev.jsonl" in done.stderr


@pytest.mark.parametrize(
    ("target", "output", "equal"),
    [
        ("(4/5)", r"答：$\frac{4}{5}$", True),
        ("(4/5)", r"\boxed{\dfrac{4}{5}}", True),
        ("(4/5)", "答：5分之4", True),
        ("(1000)", "答：1,000米", True),
        ("50%", "答：50％", True),
        ("2(1/2)", "答：2又1/2", True),
        ("2(1/2)", "2又2分之1", True),
        ("(1/2)", "答：2又1/2", False),
        ("(9)", "9" * 5000, False),
    ],
)
def test_values_are_equal_however_they_are_written(target, output, equal):
    assert evaluate_ape210k.judge_by_value(target, output) == equal
