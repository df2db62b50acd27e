"""AugCon step 7: what a model answers to the test questions of the corpus.

    python augcon/step7_infer.py --data_path augcon/sample/test.jsonl --save_path out/outputs.jsonl

in   {"question": "…"} (--prompt_key), or the folder DailyM, whose split test is taken
out  {"question": "…", "answer": "…"} in the order of the questions
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon.asking import STOPS
from augcon.released_files import split_of
from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, need, step_options


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--data_path", default="DailyM", help="questions: json, jsonl, parquet, arrow, a dataset folder"
    )
    parser.add_argument("--save_path", default="results/augcon/outputs.jsonl", help="answers; the ending is the format")
    group = parser.add_argument_group("rows")
    group.add_argument("--prompt_key", default="question", help="key of the question")
    group.add_argument("--response_key", default="answer", help="key of the answer in the output")
    group.add_argument("--keep_truncated", action="store_true", help="keep answers that --max_tokens cut off")
    group.add_argument("--keep_empty", action="store_true", help="keep empty answers")
    group.add_argument("--paper_exact", action="store_true", help="with the released stops, which also cut tables")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.2, max_tokens=4096)
    args = parser.parse_args()
    if args.paper_exact:
        args.stop, args.keep_truncated, args.keep_empty = list(STOPS), True, True
    args.split = args.split or split_of(args.data_path, "test")
    return args


def main() -> None:
    args = parse_args()

    def make_request(row: dict) -> Request:
        return Request(messages=[{"role": "user", "content": need(row, args.prompt_key)}])

    def use_answer(row: dict, answer: Answer) -> dict:
        if not answer.text.strip() and not args.keep_empty:
            raise Reject("empty answer")
        if answer.finish_reason == "length" and not args.keep_truncated:
            raise Reject("cut off at --max_tokens (--keep_truncated keeps such answers)")
        return {args.prompt_key: row[args.prompt_key], args.response_key: answer.text}

    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        ask_rows(step, llm_options(args), make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
