"""Answers of a model to a file of questions: where every evaluation here begins.

    python eval/generate.py --data_path questions.jsonl --save_path answers.jsonl --base_url http://127.0.0.1:8000/v1

in   rows with a question, {"prompt": "..."}, or a conversation, {"messages": [...]} (name the key with --prompt_key)
out  the same rows, each with the model's answer in "response"
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue, Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.step import Step, add_step_arguments, need, step_options


def question_of(row: dict, prompt_key: str, input_key: str | None) -> str | list[dict]:
    if not input_key:
        return need(row, prompt_key, (str, list))
    need(row, input_key.split(".")[0], object)
    question, more = need(row, prompt_key), look_up(row, input_key)
    return f"{question}\n{more}" if more else question


def look_up(row: dict, path: str) -> Any:
    """`instances.0.input` is row["instances"][0]["input"]; None where the row has no such thing."""
    value: Any = row
    for key in path.split("."):
        try:
            value = value[int(key) if isinstance(value, list) else key]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value


def request_maker(args: argparse.Namespace) -> Callable[[dict], Request]:
    template = load_prompt("eval", "generate", path=args.prompt_template) if args.prompt_template else None
    system = [{"role": "system", "content": args.system_prompt}] if args.system_prompt else []

    def make_request(row: dict) -> Request:
        if args.response_key in row:
            raise BadValue(f"already has {args.response_key!r}; choose another --response_key")
        question = question_of(row, args.prompt_key, args.input_key)
        if isinstance(question, list):
            if args.api == "completions" or not all(isinstance(turn, dict) for turn in question):
                raise BadValue(f"{args.prompt_key!r} is a list, but not of messages for a chat")
            if template:
                raise BadValue(f"{args.prompt_key!r} is a conversation; --prompt_template is for a text")
            return Request(messages=system + question)
        text = fill(template, prompt=question) if template else question
        if args.api == "completions":
            return Request(prompt=text)
        return Request(messages=[*system, {"role": "user", "content": text}])

    return make_request


def answer_user(args: argparse.Namespace) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        if not answer.text.strip() and not args.keep_empty:
            raise Reject("empty answer")
        if answer.finish_reason == "length" and not args.keep_truncated:
            raise Reject("cut off at max_tokens (--keep_truncated keeps such answers)")
        return row | {args.response_key: answer.text}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="questions: json, jsonl, parquet, arrow, a dataset folder")
    parser.add_argument("--save_path", required=True, help="answers; the ending is the format")
    group = parser.add_argument_group("question and answer")
    group.add_argument("--prompt_key", default="prompt", help="key of the question or messages")
    group.add_argument("--input_key", help="key of a text that follows the question, e.g. input or instances.0.input")
    group.add_argument("--response_key", default="response", help="key of the answer")
    group.add_argument("--system_prompt", help="system message before each question")
    group.add_argument("--prompt_template", help="file with {prompt} where the question goes")
    group.add_argument("--api", choices=["chat", "completions"], default="chat", help="endpoint")
    group.add_argument("--keep_truncated", action="store_true", help="keep answers cut off at --max_tokens")
    group.add_argument("--keep_empty", action="store_true", help="keep empty answers: an evaluation counts them wrong")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=1024)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        ask_rows(step, llm_options(args), request_maker(args), answer_user(args))


if __name__ == "__main__":
    run_main(main)
