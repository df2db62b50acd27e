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
from webr.answers import Asking, add_answer_arguments, asking_options, language_of, messages, prompt_hashes, usable_text
from webr.clean_up import clean_response
from webr.flavours import with_flavour
from webr.guards import Guards, response_fault


def request_maker(asking: Asking) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        text = need(row, "request")
        if need(row, "kind").startswith("WI"):
            text = f"{need(row, 'section')}\n\n\n{text}"
        return Request(messages(asking, text, language_of(row)))

    return make_request


def answer_user(step: Step, asking: Asking) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        def fault(text: str, guards: Guards) -> str | None:
            return response_fault(text, row["request"], "", language_of(row), guards)

        return row | {"response": usable_text(step, asking, answer, clean_response, fault)}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 2")
    parser.add_argument("--save_path", required=True, help="rows with responses; the ending is the format")
    add_answer_arguments(parser, ["max_repeated", "any_form", "keep_scaffolding", "any_language"], ["cleaning"])
    add_step_arguments(parser)
    add_llm_arguments(parser)
    return with_flavour(parser.parse_args())


def main() -> None:
    args = parse_args()
    asking = asking_options(args)
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(asking)
        ask_rows(step, llm_options(args), request_maker(asking), answer_user(step, asking))


if __name__ == "__main__":
    run_main(main)
