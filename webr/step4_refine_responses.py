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
from common.step import Step, add_step_arguments, need, step_options
from webr.answers import (
    Asking,
    add_answer_arguments,
    asking_options,
    language_of,
    messages,
    prompt,
    prompt_hashes,
    template,
    usable_text,
)
from webr.clean_up import clean_response
from webr.flavours import with_flavour
from webr.guards import Guards, response_fault


def request_maker(asking: Asking) -> Callable[[dict], Request | None]:
    def make_request(row: dict) -> Request | None:
        if not need(row, "kind").startswith("WR"):
            return None
        lang = language_of(row)
        values = {"page": need(row, "section"), "request": need(row, "request"), "draft": need(row, "response")}
        text = prompt(asking, "refine", lang, language=NAMES.get(lang, lang), **values)
        return Request(messages(asking, text, lang))

    return make_request


def answer_user(step: Step, asking: Asking) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        lang = language_of(row)

        def fault(text: str, guards: Guards) -> str | None:
            return response_fault(text, row["request"], template(asking, "refine", lang), lang, guards)

        return row | {"draft": row["response"], "response": usable_text(step, asking, answer, clean_response, fault)}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 3")
    parser.add_argument("--save_path", required=True, help="rows with improved responses; the ending is the format")
    add_answer_arguments(
        parser, ["max_run", "max_repeated", "any_form", "keep_scaffolding", "any_language"], ["cleaning"]
    )
    add_step_arguments(parser)
    add_llm_arguments(parser)
    return with_flavour(parser.parse_args())


def main() -> None:
    args = parse_args()
    asking = asking_options(args)
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(asking, "refine")
        ask_rows(step, llm_options(args), request_maker(asking), answer_user(step, asking))


if __name__ == "__main__":
    run_main(main)
