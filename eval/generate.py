"""Answers of a model to a file of questions: where every evaluation here begins.

    python eval/generate.py --data_path questions.jsonl --save_path answers.jsonl --base_url http://127.0.0.1:8000/v1

in   rows with a question, {"prompt": "..."}, or a conversation, {"messages": [...]} (name the key with --prompt_key)
out  the same rows, each with the model's answer in "response"
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue, Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.step import Step, add_step_arguments, step_options
from eval.questions import SETS, Keys, input_of, question_of

Ask = Callable[[dict], str | list[dict]]  # from a row to the text or the messages that are sent


def plain_asker(keys: Keys, template: str | None) -> Ask:
    """The question as it is, or in a template of the user's with {prompt}."""

    def ask(row: dict) -> str | list[dict]:
        question = question_of(row, *keys)
        if template is None:
            return question
        if not isinstance(question, str):
            raise BadValue(f"{keys.prompt_key!r} is a conversation; --prompt_path is for a text")
        return fill(template, prompt=question)

    return ask


def alpaca_asker(keys: Keys, folder: str | None) -> Ask:
    """Alpaca's layout, which has other words for an instruction with an input than for one without."""
    without, with_input = (
        load_prompt("eval", name, path=folder and str(Path(folder) / f"{name}.en.txt"))
        for name in ("alpaca", "alpaca_input")
    )

    def ask(row: dict) -> str:
        instruction = question_of(row, keys.prompt_key)
        if not isinstance(instruction, str):
            raise BadValue(f"{keys.prompt_key!r} is a conversation; --prompt alpaca is for a text")
        more = input_of(row, keys.input_key) if keys.input_key else ""
        if not more:
            return fill(without, instruction=instruction)
        return fill(with_input, instruction=instruction, input=more)

    return ask


def request_maker(ask: Ask, system_prompt: str | None, api: str, response_key: str) -> Callable[[dict], Request]:
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []

    def make_request(row: dict) -> Request:
        if response_key in row:
            raise BadValue(f"already has {response_key!r}; choose another --response_key")
        question = ask(row)
        if isinstance(question, str):
            user = [{"role": "user", "content": question}]
            return Request(prompt=question) if api == "completions" else Request(messages=system + user)
        if api == "completions" or not all(isinstance(turn, dict) for turn in question):
            raise BadValue("the question is a list, but not of messages for a chat")
        return Request(messages=system + question)

    return make_request


def answer_user(response_key: str, keep_empty: bool, keep_truncated: bool) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        if not answer.text.strip() and not keep_empty:
            raise Reject("empty answer")
        if answer.finish_reason == "length" and not keep_truncated:
            raise Reject("cut off at max_tokens (--keep_truncated keeps such answers)")
        return row | {response_key: answer.text}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="questions: json, jsonl, parquet, arrow, a dataset folder")
    parser.add_argument("--save_path", required=True, help="answers; the ending is the format")
    group = parser.add_argument_group("question and answer")
    group.add_argument("--dataset_name", choices=SETS, help="a known set of questions: names their keys")
    group.add_argument("--prompt_key", help="key of the question or messages, also turns.0.content (that of the set)")
    group.add_argument("--input_key", help="key of a text that the question is about, e.g. input or instances.0.input")
    group.add_argument("--response_key", default="response", help="key of the answer")
    group.add_argument("--system_prompt", help="system message before each question")
    group.add_argument("--prompt", choices=["none", "alpaca"], default="none", help="text around the question")
    group.add_argument("--prompt_folder", metavar="DIR", help="your alpaca.en.txt and alpaca_input.en.txt")
    group.add_argument("--prompt_path", metavar="FILE", help="a text of yours, with {prompt} where the question goes")
    group.add_argument("--api", choices=["chat", "completions"], default="chat", help="endpoint")
    group.add_argument("--keep_truncated", action="store_true", help="keep answers cut off at --max_tokens")
    group.add_argument("--keep_empty", action="store_true", help="keep empty answers: an evaluation counts them wrong")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=1024)
    args = parser.parse_args()
    if args.prompt_path and args.prompt != "none":
        parser.error(f"--prompt_path stands for itself: drop --prompt {args.prompt}, or give --prompt_folder")
    known = SETS.get(args.dataset_name, Keys("prompt"))
    args.prompt_key, args.input_key = args.prompt_key or known.prompt_key, args.input_key or known.input_key
    return args


def main() -> None:
    args = parse_args()
    keys = Keys(args.prompt_key, args.input_key)
    template = load_prompt("eval", "generate", path=args.prompt_path) if args.prompt_path else None
    ask = alpaca_asker(keys, args.prompt_folder) if args.prompt == "alpaca" else plain_asker(keys, template)
    make_request = request_maker(ask, args.system_prompt, args.api, args.response_key)
    use_answer = answer_user(args.response_key, args.keep_empty, args.keep_truncated)
    reads = [args.prompt_path] if args.prompt_path else []
    with Step([args.data_path], args.save_path, **step_options(args), reads=reads) as step:
        ask_rows(step, llm_options(args), make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
