"""WebR step 3: a response to each request; web as instruction sees the page, web as response the request alone.

    python webr/step3_make_responses.py --data_path out/requests.jsonl --save_path out/responses.jsonl

in   rows of step 2: {"kind": "WI_all", "section": "...", "request": "...", ...}
out  the same rows with "response"
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, need, step_options
from webr.answers import add_answer_arguments, usable_text
from webr.clean_up import clean_response


def make_request(row: dict) -> Request:
    request = need(row, "request")
    if need(row, "kind").startswith("WI"):
        request = f"{need(row, 'section')}\n\n\n{request}"
    return Request(messages=[{"role": "user", "content": request}])


def answer_user(args: argparse.Namespace) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        return row | {"response": usable_text(answer, clean_response, args)}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 2")
    parser.add_argument("--save_path", required=True, help="rows with responses; the ending is the format")
    add_answer_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=1.0, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        ask_rows(step, llm_options(args), make_request, answer_user(args))


if __name__ == "__main__":
    run_main(main)
