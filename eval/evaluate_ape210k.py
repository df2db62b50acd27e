"""Accuracy on Ape210k: is the gold answer among what a response gives as its answer?

    python eval/evaluate_ape210k.py --base_output_path outputs --ckpt_name my_model --eval_file eval_test.ape.jsonl

in   <base_output_path>/<ckpt_name>/<eval_file>: {"input": "…", "target": "(106)", "output": "…\\n答：106米。"} a line
out  beside it <eval_file>.scored.jsonl: the row, "is_correct" by the paper's rule, "is_equal" by value, "reason"; then
     {"accuracy": …, "accuracy_by_value": …, "rows": …} on stdout
"""

import argparse
import json
import re
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue
from common.program import make_parser, progress, run_main
from common.step import Step, add_step_arguments, need, step_options

ANSWER = re.compile(r"答：[^\n]*")
PART = re.compile(r"（\d+）[^\n]*")
CONCLUSION = re.compile(r"故(?:答案为|选).*", re.DOTALL)
NUMBER = re.compile(
    r"(\d{1,40})?\((\d{1,40})/(\d{1,40})\)|(\d{1,40}(?:\.\d{1,40})?)(?:/(\d{1,40}(?:\.\d{1,40})?))?(%)?"
)
ONE_WAY = [  # of writing what is written in several
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}"), r"(\1/\2)"),
    (re.compile(r"(\d+)分之(\d+)"), r"(\2/\1)"),
    (re.compile(r"(\d+)又(?:\((\d+/\d+)\)|(\d+/\d+))"), r"\1(\2\3)"),
    (re.compile(r"\\?％|\\%"), "%"),
]
SENTENCE_END = "．。. "


def gold_answer(target: str) -> str:
    """`(106)` and `106．` are 106; `((4/5))` and `(4/5)` are (4/5)."""
    answer = target.strip().rstrip(SENTENCE_END)
    inner = answer[1:-1]
    wrapped = answer.startswith("(") and answer.endswith(")") and _balanced(inner)
    return inner if wrapped and inner else answer


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def answer_spans(output: str) -> tuple[str, list[str]]:
    """How and where a response states its answer: 答： lines, numbered parts, a conclusion, or the last line."""
    for kind, pattern in (("答：", ANSWER), ("（1）", PART), ("故答案为/故选", CONCLUSION)):
        spans = pattern.findall(output)
        if spans:
            return kind, spans
    lines = output.strip().splitlines()
    return "last line", lines[-1:]


def contains_answer(answer: str, span: str) -> bool:
    """`answer` stands in `span` and is not cut out of a longer number.

    As released, a dollar sign counts as part of a number, so $20$ is not 20.
    """
    left = r"(?<![\d.$])" if answer[:1].isdigit() else ""
    right = r"(?![\d.$])" if answer[-1:].isdigit() else ""
    return bool(answer) and re.search(left + re.escape(answer) + right, span) is not None


def judge(target: str, output: str) -> tuple[bool, str]:
    """The paper's verdict and the reason for it."""
    kind, spans = answer_spans(output)
    answer = gold_answer(target)
    if any(contains_answer(answer, span) for span in spans):
        return True, f"{answer} in {kind}"
    return False, f"{answer} not in {kind}" if spans else "no answer given"


def values(text: str) -> set[Fraction]:
    """The numbers of a text by value: 0.50 is 0.5, (1/2) and 2分之1 are 1/2, 2(1/2) and 2又1/2 are 5/2, 50% is 1/2."""
    found = set()
    for pattern, plain in ONE_WAY:
        text = pattern.sub(plain, text)
    for whole, upper, lower, number, divisor, percent in NUMBER.findall(text):
        if upper:
            if int(lower):
                found.add(int(whole or 0) + Fraction(int(upper), int(lower)))
        elif not divisor or Fraction(divisor):
            found.add(Fraction(number) / Fraction(divisor or 1) / (100 if percent else 1))
    return found


def judge_by_value(target: str, output: str) -> bool:
    """The last stated answer has the gold value (the only number of the target), whatever way it is written."""
    gold = values(gold_answer(target))
    _, spans = answer_spans(output)
    if len(gold) != 1:
        return judge(target, output)[0]
    return bool(spans) and bool(gold & values(re.sub(r"（\d+）", "", spans[-1]).rpartition("=")[2]))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--base_output_path", required=True, help="folder that holds a folder a checkpoint")
    parser.add_argument("--ckpt_name", default="", help="folder of the checkpoint below it")
    parser.add_argument("--eval_file", default="eval_test.ape.jsonl", help="the answers")
    parser.add_argument("--target_key", default="target", help="key of the gold answer")
    parser.add_argument("--output_key", default="output", help="key of the response")
    parser.add_argument("--save_path", help="scored rows (default: <eval_file>.scored.jsonl beside the input)")
    parser.add_argument("--paper_exact", action="store_true", help="leave out the verdict by value")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    path = Path(args.base_output_path, args.ckpt_name, args.eval_file)
    save_path = args.save_path or path.with_name(path.name + ".scored.jsonl")
    with Step([path], save_path, **step_options(args)) as step:
        for index, row in progress(step.rows(), total=step.total(), unit="row"):
            try:
                target, output = need(row, args.target_key), need(row, args.output_key)
            except BadValue as problem:
                step.reject(*step.bad_row(index, problem, row))
                continue
            correct, reason = judge(target, output)
            verdict = {"is_correct": int(correct), "reason": reason}
            step.counts["correct"] += correct
            if not args.paper_exact:
                equal = judge_by_value(target, output)
                step.counts["equal by value"] += equal
                verdict["is_equal"] = int(equal)
            step.write(row | verdict)
        rows = step.counts["done"]
        result = {"accuracy": step.counts["correct"] / rows if rows else None, "rows": rows}
        if not args.paper_exact and rows:
            result["accuracy_by_value"] = step.counts["equal by value"] / rows
        step.facts["result"] = result
    print(json.dumps(result))


if __name__ == "__main__":
    run_main(main)
