"""Clean crawled solutions by rules alone: the paper's baseline, "really a strong baseline".

    python web_to_sft/rule_baseline.py --data_path web.jsonl --save_path web_rules.jsonl

in   {"question": "…", "raw_analysis": "分析：据此解答．【解答】3\\n5根据题意，9/3，=3．【点睛】乘法的意义．", …}
out  the row and {"rule_processed_analysis": …, "rule_processed_solvestep": "3/5根据题意，9/3=3．"}
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, map_rows, step_options
from web_to_sft.cleaning_rules import REPAIRS, clean_analysis, solution_steps
from web_to_sft.inputs import add_column_arguments, text_of
from web_to_sft.released import add_released_arguments, wanted_repairs


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="crawled rows")
    parser.add_argument("--save_path", required=True, help="the same rows with two columns more, in the same order")
    add_column_arguments(parser, "web_analysis_key")
    add_released_arguments(parser, REPAIRS)
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    repairs = wanted_repairs(args, REPAIRS)

    def clean(row: dict) -> dict:
        analysis = clean_analysis(text_of(row, args.web_analysis_key), repairs)
        steps = solution_steps(analysis, repairs)
        return row | {"rule_processed_analysis": analysis, "rule_processed_solvestep": steps}

    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        map_rows(step, clean)


if __name__ == "__main__":
    run_main(main)
