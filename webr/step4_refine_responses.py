"""WebR step 4: improve the responses of web as response with what the page says; the other rows pass as they are.

    python webr/step4_refine_responses.py --data_path out/responses.jsonl --save_path out/refined.jsonl

in   rows of step 3: {"kind": "WR_all", "section": "...", "request": "...", "response": "...", ...}
out  the same rows; those of web as response keep their first answer as "draft" and have the improved one as "response"
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.languages import NAMES
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import fill
from common.step import Step, add_step_arguments, need, step_options
from webr.answers import add_answer_arguments, prompt_for, prompt_hashes, usable_text
from webr.clean_up import clean_response


def request_maker(args: argparse.Namespace) -> Callable[[dict], Request | None]:
    def make_request(row: dict) -> Request | None:
        if not need(row, "kind").startswith("WR"):
            return None
        prompt = fill(
            prompt_for("refine", need(row, "lang"), args),
            page=need(row, "section"),
            request=need(row, "request"),
            draft=need(row, "response"),
            language=NAMES.get(row["lang"], row["lang"]),
        )
        return Request(messages=[{"role": "user", "content": prompt}])

    return make_request


def answer_user(args: argparse.Namespace) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        return row | {"draft": row["response"], "response": usable_text(answer, clean_response, args)}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 3")
    parser.add_argument("--save_path", required=True, help="rows with improved responses; the ending is the format")
    add_answer_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=1.0, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(("refine",), args)
        ask_rows(step, llm_options(args), request_maker(args), answer_user(args))


if __name__ == "__main__":
    run_main(main)
