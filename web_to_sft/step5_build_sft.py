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

from common.errors import Reject
from common.program import make_parser, run_main
from common.rows import scan_rows
from common.step import Step, add_step_arguments, map_rows, step_options
from web_to_sft.conversions import FORMS, REPAIRS, to_sft_row
from web_to_sft.inputs import add_column_arguments, split_of, texts_of
from web_to_sft.released import add_released_arguments, wanted_repairs


def clean_rows(path: str, keys: tuple[str, str], split: str | None) -> list[dict]:
    """Clean rows to train on: {"instruction", "output"}, or the columns that steps 1 and 2 read."""
    rows = []
    for index, row in enumerate(scan_rows(path, split_of(path, split))):
        paper = isinstance(row, dict) and keys[1] in row
        question, solution = texts_of(path, index, row, keys if paper else ("instruction", "output"))
        rows.append({"instruction": question, "output": solution})
    return rows


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 4; a quoted glob takes several")
    parser.add_argument("--save_path", required=True, help="rows to fine-tune on")
    parser.add_argument("--add_path", help="clean rows to put in front, as the solver is trained on both")
    parser.add_argument("--response_key", default="output", help="column of the converter's text")
    parser.add_argument("--max_characters", type=int, default=0, help="set longer rows aside; 0: none are too long")
    parser.add_argument(
        "--lost_numbers", choices=["flag", "reject"], default="flag", help="rows that lost numbers of the problem"
    )
    add_column_arguments(parser, "web_question_key", "high_quality_question_key", "high_quality_solution_key")
    add_released_arguments(parser, REPAIRS, FORMS)
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    repairs = wanted_repairs(args, REPAIRS, FORMS)
    keys = args.high_quality_question_key, args.high_quality_solution_key
    clean = clean_rows(args.add_path, keys, args.split) if args.add_path else []

    def convert(row: dict) -> dict:
        try:
            result = to_sft_row(row, args.response_key, args.web_question_key, repairs, args.max_characters)
            if "lost_numbers" in result and args.lost_numbers == "reject":
                raise Reject(f"lost numbers: {', '.join(result['lost_numbers'])}")
        except Reject as why:
            step.counts[why.reason.partition(":")[0]] += 1
            raise
        step.counts["flagged, lost numbers"] += "lost_numbers" in result
        return result

    inputs = [args.data_path, *([args.add_path] if args.add_path else [])]
    options = step_options(args) | {"split": split_of(args.data_path, args.split)}
    with Step(inputs, args.save_path, **options) as step:
        for row in clean:
            step.counts["in"] += 1
            step.counts["clean rows"] += 1
            step.write(row)
        map_rows(step, convert)


if __name__ == "__main__":
    run_main(main)
