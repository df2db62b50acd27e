"""Accuracy on CMATH, over all and by grade: the numbers at the end of a response against the gold answer.

    python eval/cmath_eval.py --response_dir outputs/my_model

in   a file, or a folder with *cmath*.jsonl: {"golden": "60", "response": "所以答案是60。", "grade": 1} a line; rows
     without "grade" are taken in the order of the published file, a hundred a grade
out  beside each file <file>.scored.jsonl: the row, "extracted", "match" by the paper's rule, "last_match" (only the
     last number counts), "reason"; then {"accuracy": …, "by_grade": {…}, …} on stdout
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue
from common.program import make_parser, progress, run_main
from common.step import Step, add_step_arguments, need, step_options

ROWS_A_GRADE = 100  # of the published test file
CANDIDATES = 2  # the last numbers of a response that count
TOLERANCE = 0.01
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
LATEX_FRACTION = re.compile(r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}")
SPOKEN_FRACTION = re.compile(r"(\d+)分之(\d+)")
RUN = re.compile(r"\d[\d./%]*")
NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\d+/\d+)%?")


def candidates(response: str) -> list[str]:
    """The last numbers of a response as written; a spoken fraction (3分之2) counts beside its digits, after them."""
    text = LATEX_FRACTION.sub(r"\1/\2", THOUSANDS.sub("", response))
    runs = [run.rstrip("./") for run in RUN.findall(text)]
    runs += [f"{upper}/{lower}" for lower, upper in SPOKEN_FRACTION.findall(text)]
    return [run for run in runs if NUMBER.fullmatch(run)][-CANDIDATES:]


def value(number: str) -> float | None:
    """3/4, 12.50 and 12% as numbers; None for a division by zero or what is no number."""
    upper, _, lower = number.strip().rstrip("%").partition("/")
    try:
        result = float(upper) / float(lower or 1)
    except (ValueError, ZeroDivisionError):
        return None
    return result / 100 if number.strip().endswith("%") else result


def is_close(candidate: str, golden: str) -> bool:
    ours, gold = value(candidate), value(golden)
    return ours is not None and gold is not None and abs(ours - gold) <= TOLERANCE * abs(gold)


def judge(golden: str, response: str) -> tuple[bool, list[str], str]:
    """The paper's verdict: any of the last two numbers may be the answer. With the numbers and the reason."""
    found = candidates(response)
    for candidate in found:
        if is_close(candidate, golden):
            return True, found, f"{candidate} is {golden}"
    return False, found, f"{golden} is none of {', '.join(found)}" if found else "no number"


def judge_last(golden: str, response: str) -> bool:
    """Stricter: the last number only, with its sign, spoken fractions as one number."""
    text = SPOKEN_FRACTION.sub(r"\2/\1", LATEX_FRACTION.sub(r"\1/\2", THOUSANDS.sub("", response)))
    runs = [run.rstrip("./") for run in re.findall(r"(?<!\d)-?" + RUN.pattern, text)]
    return bool(runs) and is_close(runs[-1], golden)


def response_files(place: str) -> list[Path]:
    path = Path(place)
    if path.is_file():
        return [path]
    files = [file for file in sorted(path.glob("*cmath*.jsonl")) if ".scored." not in file.name]
    files = [file for file in files if not file.name.endswith(".rejected.jsonl")]
    if not files:
        raise BadInput(f"{place}: expected a jsonl file, or a folder with files named like cmath_dev.jsonl")
    return files


def grade_of(row: dict, index: int) -> str:
    return str(row["grade"]) if "grade" in row else str(index // ROWS_A_GRADE + 1)


def score_file(args: argparse.Namespace, path: Path) -> dict:
    right, rows, last_right = Counter(), Counter(), 0
    with Step([path], path.with_name(path.name + ".scored.jsonl"), **step_options(args)) as step:
        for index, row in progress(step.rows(), total=step.total(), unit="row"):
            try:
                golden, response = str(need(row, args.golden_key, (str, int, float))), need(row, args.response_key)
            except BadValue as problem:
                step.reject(*step.bad_row(index, problem, row))
                continue
            match, extracted, reason = judge(golden, response)
            grade = grade_of(row, index)
            right[grade] += match
            rows[grade] += 1
            verdict = {"extracted": sorted(set(extracted)), "match": match, "reason": reason}
            if not args.paper_exact:
                verdict["last_match"] = judge_last(golden, response)
                last_right += verdict["last_match"]
            step.write(row | verdict)
        total = rows.total() or 1
        result = {"accuracy": right.total() / total, "rows": rows.total()}
        if not args.paper_exact:
            result["accuracy_last_number"] = last_right / total
        result["by_grade"] = {grade: right[grade] / rows[grade] for grade in sorted(rows)}
        step.facts["result"] = result
    return result


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--response_dir", required=True, help="file of responses, or folder of such files")
    parser.add_argument("--golden_key", default="golden", help="key of the gold answer")
    parser.add_argument("--response_key", default="response", help="key of the response")
    parser.add_argument("--paper_exact", action="store_true", help="leave out the stricter verdict")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for path in response_files(args.response_dir):
        print(json.dumps({"file": path.name} | score_file(args, path)))


if __name__ == "__main__":
    run_main(main)
