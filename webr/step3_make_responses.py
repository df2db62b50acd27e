"""WebR step 3: the response to each request, given the page (web as instruction) or without it (web as response).

    python webr/step3_make_responses.py --data_path requests.jsonl --save_path responses.jsonl

in   the rows of step 2
out  each with "response"
"""

import argparse

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows
from common.step import Step, add_step_arguments, need, run_main
from webr.clean_up import clean_response, is_refusal


def question_of(row: dict) -> str:
    """Web as instruction: the page and what to do with it. Web as response: the request alone."""
    request = need(row, "request")
    return f"{need(row, 'section')}\n\n\n{request}" if need(row, "kind").startswith("WI") else request


def checked_response(answer: Answer, paper_exact: bool) -> str:
    response = clean_response(answer.text, paper_exact)
    if not response:
        raise Reject("empty response")
    if answer.finish_reason == "length":
        raise Reject("the response is cut off")
    if is_refusal(response, paper_exact):
        raise Reject("refusal")
    return response


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="pages with requests, from step 2")
    parser.add_argument("--save_path", required=True, help="pages with requests and responses (.jsonl)")
    parser.add_argument("--paper_exact", action="store_true", help="clean-up rules as released")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.6, top_p=0.9, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    def make_request(row: dict) -> Request:
        return Request(messages=[{"role": "user", "content": question_of(row)}])

    def use_answer(row: dict, answer: Answer) -> dict:
        return row | {"response": checked_response(answer, args.paper_exact)}

    with Step(args, [args.data_path], args.save_path) as step:
        ask_rows(step, args, make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
