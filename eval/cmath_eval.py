"""Accuracy on CMATH, over all and by grade: the numbers at the end of a response against the gold answer.

    python eval/cmath_eval.py --response_dir outputs/my_model

in   a file, or a folder with *cmath*.jsonl: {"golden": "60", "response": "所以答案是60。", "grade": 1} a line; rows
     without "grade" are taken in the order of the published file, a hundred a grade
out  beside each file <file>.scored.jsonl: the row, "extracted", "match" by the released rule, "last_match" (only the
     last number counts), "reason"; then {"accuracy": …, "by_grade": {…}, "verdicts_differ": …, …} on stdout
     with --paper_exact of a folder only eval_cmath_dev_instruction.jsonl, and the released print-out on stdout
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import SIDE_FILES
from common.step import Step, add_step_arguments, need, step_options
from eval.cmath_rule import judge, judge_last

GRADES, ROWS_A_GRADE = 6, 100  # of the published test file
RELEASED_FILE = "eval_cmath_dev_instruction.jsonl"
RESPONSE_KEYS = ("response", "output", "chatglm2_cot_output")


def response_files(place: str, paper_exact: bool) -> list[Path]:
    path = Path(place)
    if path.is_file():
        return [path]
    files = sorted(path.glob(RELEASED_FILE if paper_exact else "*cmath*.jsonl"))
    files = [file for file in files if not file.name.endswith((".scored.jsonl", *SIDE_FILES))]
    if not files:
        expected = RELEASED_FILE if paper_exact else "files named like cmath_dev.jsonl"
        raise BadInput(f"{place}: expected a jsonl file, or a folder with {expected}")
    return files


def response_of(row: dict, key: str | None) -> str:
    return need(row, key or next((known for known in RESPONSE_KEYS if known in row), RESPONSE_KEYS[0]))


def verdicts_of(row: dict, golden_key: str, response_key: str | None) -> dict:
    """Both verdicts, with what they looked at."""
    golden, response = need(row, golden_key, (str, int, float)), response_of(row, response_key)
    match, numbers = judge(golden, response)
    reason = f"{golden} is {'' if match else 'not '}among {', '.join(numbers) or 'no numbers'}"
    return {"extracted": numbers, "match": match, "last_match": judge_last(golden, response), "reason": reason}


def grade_of(row: dict, index: int, paper_exact: bool) -> str:
    return str(row["grade"]) if "grade" in row and not paper_exact else str(index // ROWS_A_GRADE + 1)


def summary(rows: Counter, right: Counter, last_right: int, differ: int) -> dict:
    """Shares; null where there is no row."""

    def share(count: int) -> float | None:
        return count / rows.total() if rows else None

    by_grade = {grade: right[grade] / rows[grade] for grade in sorted(rows)}
    shares = {"accuracy": right.total(), "accuracy_last_number": last_right, "verdicts_differ": differ}
    return {name: share(count) for name, count in shares.items()} | {"rows": rows.total(), "by_grade": by_grade}


def score_file(path: Path, args: argparse.Namespace) -> tuple[dict, Counter]:
    """The result of a file, and how many answers of each grade are right."""
    rows, right, last_right, differ = Counter(), Counter(), 0, 0
    with Step([path], f"{path}.scored.jsonl", **step_options(args)) as step:
        for index, row, verdicts in step.values(lambda row: verdicts_of(row, args.golden_key, args.response_key)):
            grade = grade_of(row, index, args.paper_exact)
            rows[grade] += 1
            right[grade] += verdicts["match"]
            last_right += verdicts["last_match"]
            differ += verdicts["match"] != verdicts["last_match"]
            step.write(row | verdicts)
        step.facts["result"] = result = summary(rows, right, last_right, differ)
    return result, right


def released_print_out(result: dict, right: Counter) -> str:
    """Hits of all rows, accuracy, and hits (not shares) of each block of a hundred rows."""
    hits = {grade: right[str(grade)] for grade in range(1, GRADES + 1)}
    accuracy = "none" if result["accuracy"] is None else f"{result['accuracy']:.1%}"
    return f"{right.total()}/{result['rows']}\nacc={accuracy}\n{hits}"


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--response_dir", required=True, help="file of responses, or folder of such files")
    parser.add_argument("--golden_key", default="golden", help="key of the gold answer")
    parser.add_argument("--response_key", help=f"key of the response; without: {', '.join(RESPONSE_KEYS)} as there")
    parser.add_argument("--paper_exact", action="store_true", help="file, column and print-out of the released code")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.paper_exact and args.response_key is None:
        args.response_key = "chatglm2_cot_output" if "chatglm" in args.response_dir else "output"
    for path in response_files(args.response_dir, args.paper_exact):
        result, right = score_file(path, args)
        print(json.dumps({"file": path.name} | result))
        if args.paper_exact:
            print(released_print_out(result, right))


if __name__ == "__main__":
    run_main(main)
