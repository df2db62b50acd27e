"""Parse the converter's outputs into fine-tuning rows; refusals and malformed outputs are counted and kept aside.

    python web_to_sft/step5_build_sft.py --data_path converted.jsonl --save_path web_sft.jsonl

in   the crawled row with the converter's text: {"question": …, "output": "[问题]\\n…\\n\\n[答案]\\n…", …}
out  the row with {"instruction": "the clean problem", "output": "the clean solution"}; where the conversion lost
     numbers of the problem also {"lost_numbers": ["3.5"]}
     <output>.rejected.jsonl: {"index": …, "reason": "refused: …" | "malformed: …", "row": …}
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue, Reject
from common.program import make_parser, progress, run_main
from common.rows import read_rows
from common.step import Step, add_step_arguments, need, step_options
from web_to_sft.conversions import lost_numbers, parse_conversion
from web_to_sft.step1_match_pairs import text_of, texts_of


def to_sft_row(row: dict, args: argparse.Namespace) -> dict:
    """The fine-tuning row of a converted row, or Reject."""
    text = need(row, args.output_column)
    question, answer = parse_conversion(text)
    if not args.paper_exact:
        question, answer = question.strip(), answer.strip()
        if not question or not answer:
            raise Reject("malformed: empty question or answer")
    kept = {key: value for key, value in row.items() if key not in ("instruction", "output", args.output_column)}
    result = kept | {"instruction": question, "output": answer}
    if args.paper_exact:
        return result
    if args.max_characters and len(question) + len(answer) > args.max_characters:
        raise Reject(f"longer than {args.max_characters} characters")
    lost = lost_numbers(text_of(row, args.question_key) if row.get(args.question_key) else "", question + answer)
    if lost and args.lost_numbers == "reject":
        raise Reject(f"lost numbers: {', '.join(lost)}")
    return result | {"lost_numbers": lost} if lost else result


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 4")
    parser.add_argument("--save_path", required=True, help="rows to fine-tune on")
    parser.add_argument("--output_column", default="output", help="column of the converter's text")
    parser.add_argument("--question_key", default="question", help="column of the crawled problem")
    parser.add_argument("--add_path", help="high-quality rows to put in front, as the solver is trained on both")
    parser.add_argument("--high_quality_question_key", default="input", help="its column")
    parser.add_argument("--high_quality_solution_key", default="solve_step", help="its column")
    parser.add_argument("--max_characters", type=int, default=0, help="set longer rows aside")
    parser.add_argument("--lost_numbers", choices=["flag", "reject"], default="flag", help="rows that lost numbers")
    parser.add_argument("--paper_exact", action="store_true", help="as released: nothing stripped, no guard, no limit")
    add_step_arguments(parser)
    return parser.parse_args()


def high_quality_rows(path: str, keys: tuple[str, str]) -> list[dict]:
    """Clean rows to train on: {"instruction", "output"}, or the columns that steps 1 and 2 read."""
    rows = []
    for index, row in enumerate(read_rows(path)):
        question, solution = texts_of(path, index, row, keys if keys[1] in row else ("instruction", "output"))
        rows.append({"instruction": question, "output": solution})
    return rows


def main() -> None:
    args = parse_args()
    keys = args.high_quality_question_key, args.high_quality_solution_key
    clean = high_quality_rows(args.add_path, keys) if args.add_path else []
    inputs = [args.data_path, *([args.add_path] if args.add_path else [])]
    with Step(inputs, args.save_path, **step_options(args)) as step:
        for row in clean:
            step.counts["in"] += 1
            step.counts["high-quality rows"] += 1
            step.write(row)
        for index, row in progress(step.rows(), total=step.total(), unit="row"):
            try:
                result = to_sft_row(row, args)
            except BadValue as problem:
                step.reject(*step.bad_row(index, problem, row))
            except Reject as why:
                step.counts[why.reason.partition(":")[0]] += 1
                step.reject(index, why.reason, row)
            else:
                if "lost_numbers" in result:
                    step.counts["flagged, lost numbers"] += 1
                step.write(result)


if __name__ == "__main__":
    run_main(main)
