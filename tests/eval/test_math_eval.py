"""Verdicts on Ape210k and CMATH: as released, against naive searches, and by value."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import Reject
from common.rows import read_rows, write_rows
from eval import ape210k_by_value, ape210k_rule, cmath_eval, cmath_rule, evaluate_ape210k
from tests.in_process import run_program
from tests.oracles import ape210k as ape_oracle
from tests.oracles import cmath as cmath_oracle

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data" / "web_to_sft"
APE = list(read_rows(DATA / "ape210k_expected.jsonl"))
CMATH = list(read_rows(DATA / "cmath_expected.jsonl"))


def joined(pieces, size):
    return st.lists(st.sampled_from(pieces), max_size=size).map("".join)


# ---------------------------------------------------------------- Ape210k

RESPONSES = joined(
    [
        "答：",
        "（1）",
        "（2）",
        "（3）",
        "（4）",
        "故答案为",
        "故选",
        "\n",
        " ",
        "　",
        "5",
        "12",
        "4",
        ".",
        "²",
        "$",
        "}",
        "(4/5)",
    ]
    + ["Human: ", "Assistant: ", "有5个", "⁇", "元", "/", "；", "%", ")"],
    10,
)
TARGETS = joined(["5", "12", "4", "(", ")", "/", "；", ".", "。", "．", "[解答过程]", "\n", " ", "%", "²"], 4)


def released_verdict(target, output, question):
    try:
        output = ape210k_rule.without_echo(output, question) if "Human" in output else output
        return ape210k_rule.states(ape210k_rule.gold_parts(target), ape210k_rule.answer_span(output)[1])
    except Reject:
        return None


@settings(max_examples=800, deadline=None)
@given(TARGETS, RESPONSES, st.sampled_from(["", "有5个", "12Hn"]))
@example("()", "12", "")  # never ends, as released
@example("1；", "1", "")  # fails, as released
@example("1；2", "答：1个\n答：2个", "")
@example("8", "8（1）（2）9", "")
@example("8", "8个，答：5个\n答：9个", "")
@example("(4/5)", "\\frac{4}{5}", "")
@example("8", "答：8个。\n所以完成了。", "")
@example("5", "Human: 有5个\nAssistant: 5", "有5个")
@example("4", "4}$", "")
@example("7", "（1）（2）7\n（4x\n5", "")
def test_ape210k_as_the_naive_search(target, output, question):
    assert released_verdict(target, output, question) == ape_oracle.is_correct(target, output, question)


@pytest.mark.parametrize(
    ("target", "output", "released", "by_value"),
    [
        ("0.5", "答：0.50元", 0, 1),
        ("0.5", "答：.50元", 0, 0),
        ("(3/2)", "答：1.5米", 0, 1),
        ("2(1/2)", "答：2.5米", 0, 1),
        ("25%", "答：0.25", 0, 1),
        ("20", "$20$", 0, 1),
        ("20", "$20元", 1, 1),
        ("20", "答：120元", 0, 0),
        ("20", "20*3=60\n答：60元", 0, 0),
        ("5", "答：5.3", 1, 0),
        ("106", "1 0 6米", 1, 0),
        ("8", "答：8个。\n所以完成了。", 0, 1),
        ("1", "（1）5元\n（2）279元", 1, 0),
        ("12", "故答案为：12．", 1, 1),
        ("12", "", 0, 0),
        ("5个；6个", "答：5个；6个", 1, 1),  # more than one number: by value there is no verdict of its own
    ],
)
def test_ape210k_verdicts(target, output, released, by_value):
    verdict = evaluate_ape210k.judge(target, output)
    assert (verdict["is_correct"], verdict["is_equal"]) == (released, by_value)


@pytest.mark.parametrize(
    ("target", "output", "equal"),
    [
        ("(4/5)", r"答：$\frac{4}{5}$", True),
        ("((4/5))", r"\boxed{\dfrac{4}{5}}", True),
        ("(4/5)", "答：5分之4", True),
        ("(4/5)", "答：5/4", False),
        ("(1000)", "答：1,000米", True),
        ("1000．", "答：1,0000米", False),
        ("50%", "答：50％", True),
        ("2(1/2)", "答：2又1/2", True),
        ("2(1/2)", "2又2分之1", True),
        ("(1/2)", "答：2又1/2", False),
        ("(1/2)", "答：1/0", False),
        ("3", "答：1+2=3", True),
        ("1", "答：1+2=3", False),
        ("279", "（1）5元\n（2）279元", True),
        ("2", "（1）5元\n（2）279元", False),
        ("5", "答：5元\n答：6元", False),
        ("(2(1/2))。", "答：2.5", True),
        ("(9)", "9" * 5000, False),
        ("不知道", "不知道", None),
        ("5；6", "5；6", None),
    ],
)
def test_values_are_equal_however_they_are_written(target, output, equal):
    assert ape210k_by_value.is_equal(target, output) == equal


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("答：4个\n答：5个", "4；5 is in the answers after 答："),
        ("（1）4\n（2）6", "4；5 is not in the ends of numbered parts"),
        ("4/5", "4；5 is in the last line"),
    ],
)
def test_a_verdict_says_why(output, reason):
    assert evaluate_ape210k.judge("(4/5)", output)["reason"] == reason


@given(st.integers(0, 10**6), st.integers(0, 9))
def test_an_answer_is_not_cut_out_of_a_longer_number(number, digit):
    assert evaluate_ape210k.judge(str(number), f"答：{number}元")["is_correct"]
    assert not evaluate_ape210k.judge(str(number), f"答：{number}{digit}元")["is_correct"]


def run(module, *arguments):
    command = [sys.executable, module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_evaluate_ape210k_as_a_user_runs_it(tmp_path):
    (tmp_path / "model").mkdir()
    write_rows(tmp_path / "model" / "eval_test.ape.jsonl", APE)
    done = run("eval/evaluate_ape210k.py", "--base_output_path", tmp_path, "--ckpt_name", "model")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    scored = list(read_rows(tmp_path / "model" / "eval_test.ape.jsonl.scored.jsonl"))
    assert result["accuracy"] == pytest.approx(sum(row["is_correct"] for row in APE) / len(APE))
    assert result["accuracy_by_value"] == pytest.approx(sum(row["is_equal"] for row in scored) / len(APE))
    differ = sum(row["is_correct"] != row["is_equal"] for row in scored)
    assert result["verdicts_differ"] == pytest.approx(differ / len(APE)) and result["rows"] == len(APE)
    assert all(row["reason"] for row in scored)


def scored_rows(tmp_path, rows, *arguments):
    write_rows(tmp_path / "a.jsonl", rows)
    printed = run_program(
        evaluate_ape210k, "--base_output_path", tmp_path, "--eval_file", "a.jsonl", "--on_bad_row", "skip", *arguments
    )
    return list(read_rows(tmp_path / "a.jsonl.scored.jsonl")), printed


def test_ape210k_reads_what_the_released_code_reads(tmp_path):
    rows = [
        {"target": 5, "output": "5"},  # a number as gold
        {"target": "9", "answer": ["6", "7"], "question_type": "填空", "output": "6"},  # answer goes before target
        {"target": "7", "chatglm2_cot_output": "答：7"},
        {"target": "5", "output": "Human 5"},  # repeats a prompt that the row has not
        {"target": "5"},
    ]
    scored, printed = scored_rows(tmp_path, rows)
    assert [row["is_correct"] for row in scored] == [1, 1, 1] and json.loads(printed)["rows"] == 3
    named, _ = scored_rows(tmp_path, rows, "--target_key", "target")
    assert [row["is_correct"] for row in named] == [1, 0, 1]
    assert not (tmp_path / "a.autoevaluated.csv").exists()


def test_ape210k_paper_exact_leaves_rows_table_and_print_out_of_the_released_code(tmp_path):
    rows = [
        {"input": "有5个", "answer": ["6．"], "question_type": "填空", "output": "Human: 有5个\nAssistant: 答：6⁇"},
        {"input": "1", "target": "7", "output": "8"},
    ]
    scored, printed = scored_rows(tmp_path, rows, "--paper_exact")
    assert scored[0] == rows[0] | {"target": "6", "task": "填空", "output": "答：6", "is_correct": 1}
    assert printed.splitlines() == ['{"accuracy": 0.5, "rows": 2}', "acc: 0.5"]
    text = (tmp_path / "a.autoevaluated.csv").read_text(encoding="utf-8")
    assert text.startswith("\ufeff,input,answer,question_type,output,target,task,is_correct\n")
    table = list(csv.DictReader(text.removeprefix("\ufeff").splitlines()))
    assert table[1] == {
        "": "1", "input": "1", "answer": "UNK", "question_type": "UNK", "output": "8", "target": "7", "task": "UNK",
        "is_correct": "0",
    }  # fmt: skip


def test_without_a_usable_row_there_is_no_accuracy(tmp_path):
    _, printed = scored_rows(tmp_path, [{"target": "1"}, {"target": "2"}])
    assert json.loads(printed)["accuracy"] is None
    write_rows(tmp_path / "cmath.jsonl", [{"golden": "5"}, {"golden": "5"}])
    printed = run_program(cmath_eval, "--response_dir", tmp_path / "cmath.jsonl", "--on_bad_row", "skip")
    assert json.loads(printed) == {
        "file": "cmath.jsonl", "accuracy": None, "accuracy_last_number": None, "verdicts_differ": None, "rows": 0,
        "by_grade": {},
    }  # fmt: skip


def test_a_row_without_answer_is_named(tmp_path):
    write_rows(tmp_path / "eval_test.ape.jsonl", [{"target": "1"}])
    done = run("eval/evaluate_ape210k.py", "--base_output_path", tmp_path)
    assert done.returncode == 1
    assert "row 0" in done.stderr and "'output'" in done.stderr and "Traceback" not in done.stderr


# ---------------------------------------------------------------- CMATH

CMATH_RESPONSES = joined(
    [
        "5",
        "3",
        "12",
        ".",
        "/",
        "%",
        "\\frac{1}{2}",
        "\\frac{",
        "\\dfrac{1}{2}",
        "}",
        "{",
        "分之",
        ",",
        " ",
        "，",
        "。",
        "°",
    ]
    + [
        "℃",
        "$",
        ":",
        "：",
        "＝",
        "≈",
        "=",
        "-",
        ">",
        "（",
        "(",
        "(k",
        ")",
        "元",
        "kg",
        "*",
        "\n",
        "\u2028",
        "²",
        "３",
        "；",
        "、",
    ],
    12,
)


@settings(max_examples=1500, deadline=None)
@given(CMATH_RESPONSES)
@example("答12.")
@example("答 12 (k")
@example("3分之2")
@example("12.5%元，=3/4")
@example("1, 2 3,4")
def test_cmath_numbers_as_the_naive_search(response):
    assert cmath_rule.extracted_numbers(response) == cmath_oracle.extracted(response)


@pytest.mark.parametrize(
    ("golden", "response", "released", "last"),
    [
        ("7", "每人7个，共3人", True, False),  # each of the last two numbers counts, as released
        ("1", "1个，2个，3个", False, False),
        ("-5", "结果是-5", False, True),  # the sign is lost, as released
        ("60", "答：-60元", False, False),
        ("2/3", "大约3分之2", True, True),
        ("1000", "共1,000元", True, True),
        ("1000", "答案是1001。", False, False),  # whole numbers are equal or not
        ("100", "大约100.9", True, True),
        ("100", "大约101.1", False, False),
        ("100.5", "大约101", True, True),
        ("1/2", "0.505", True, True),
        ("1/2", "0.506", False, False),
        ("60", "The answer is 60.", False, True),
        ("60", "**60**", False, True),
        ("60", "一共60kg", False, True),
        ("1/2", r"\dfrac{1}{2}", False, True),
        ("36", "3 6", True, False),
        ("0", "是0", True, True),
        ("0", "1/0", True, False),
        ("50%", "0.5", True, True),
        (0.5, "50%", True, True),
        (12, "12", True, True),
        ("5", "", False, False),
        ("5", "9" * 5000, False, False),
        ("0.5", "9" * 400, False, False),
    ],
)
def test_cmath_verdicts(golden, response, released, last):
    assert cmath_rule.judge(golden, response)[0] == released
    assert cmath_rule.judge_last(golden, response) == last


@pytest.mark.parametrize("golden", ["12元", "", "%", "a/b"])
def test_a_gold_that_is_no_number_is_named(golden):
    with pytest.raises(Reject, match="not a number"):
        cmath_rule.judge(golden, "5")


@pytest.mark.parametrize(
    ("number", "expected"), [("12", 12), ("12.50", 12.5), ("3/4", 0.75), ("12%", 0.12), ("1/0", 0), ("1/2/3", 0)]
)
def test_values_of_cmath(number, expected):
    value = cmath_rule.value(number)
    assert value == pytest.approx(expected) and isinstance(value, int) == isinstance(expected, int)


def test_cmath_eval_as_a_user_runs_it(tmp_path):
    rows = [row | {"grade": place % 6 + 1} for place, row in enumerate(CMATH)]
    write_rows(tmp_path / "cmath_dev.jsonl", rows)
    write_rows(tmp_path / "cmath_dev.jsonl.rejected.jsonl", [{"index": 0}])
    for _ in range(2):  # the second run does not take the first one's results for responses
        done = run("eval/cmath_eval.py", "--response_dir", tmp_path)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
    assert result["accuracy"] == pytest.approx(sum(row["match"] for row in CMATH) / len(CMATH))
    for grade, accuracy in result["by_grade"].items():
        matches = [row["match"] for row in rows if str(row["grade"]) == grade]
        assert accuracy == pytest.approx(sum(matches) / len(matches))
    scored = list(read_rows(tmp_path / "cmath_dev.jsonl.scored.jsonl"))
    assert result["accuracy_last_number"] == pytest.approx(sum(row["last_match"] for row in scored) / len(rows))
    assert result["verdicts_differ"] == pytest.approx(
        sum(row["match"] != row["last_match"] for row in scored) / len(rows)
    )


def test_cmath_paper_exact_reads_and_prints_what_the_released_code_does(tmp_path):
    folder = tmp_path / "chatglm"
    folder.mkdir()
    rows = [{"golden": "5", "output": "4", "chatglm2_cot_output": "5", "grade": 3} for _ in range(150)]
    write_rows(folder / "eval_cmath_dev_instruction.jsonl", rows)
    write_rows(folder / "other_cmath.jsonl", rows[:1])
    printed = run_program(cmath_eval, "--response_dir", folder, "--paper_exact").splitlines()
    assert json.loads(printed[0])["by_grade"] == {"1": 1.0, "2": 1.0}  # blocks of a hundred rows
    assert printed[1:] == ["150/150", "acc=100.0%", "{1: 100, 2: 50, 3: 0, 4: 0, 5: 0, 6: 0}"]
    printed = run_program(cmath_eval, "--response_dir", folder / "other_cmath.jsonl")
    assert json.loads(printed) | {"accuracy": 0.0, "by_grade": {"3": 0.0}} == json.loads(
        printed
    )  # "output" comes first


def test_a_folder_without_responses_is_named(tmp_path):
    done = run("eval/cmath_eval.py", "--response_dir", tmp_path)
    assert done.returncode == 1 and "cmath_dev.jsonl" in done.stderr
