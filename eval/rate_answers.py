"""How good are answers to questions that people asked: a judge marks each from 1 to 5. AugCon's DailyM test was marked
so by people.

    python eval/rate_answers.py --data_path outputs.jsonl --save_path satisfaction.scored.jsonl --model gpt-4o

in   {"question": "…", "answer": "…"} a line, of augcon/step7_infer.py (--prompt_key, --response_key)
out  the rows with "marks" {"realism": 4, "relevance": 5, "accuracy": 4, "satisfaction": 4}, and on stdout the mean of
     each; "mean" is that of satisfaction. Realism is the question's, the others are the answer's. What people marked as
     diversity belongs to a whole set of questions and is not marked here
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.languages import PROMPT_LANGUAGES, detect_language
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.step import Step, add_step_arguments, need, step_options

ASPECTS = ("realism", "relevance", "accuracy", "satisfaction")
MARK = re.compile(r"\[\[([1-5])\]\]")


def read_marks(text: str) -> dict[str, int]:
    marks = [int(mark) for mark in MARK.findall(text)]
    if len(marks) != len(ASPECTS):
        raise Reject(f"{len(marks)} marks of [[1]] to [[5]], expected {len(ASPECTS)}")
    return dict(zip(ASPECTS, marks, strict=True))


def result_of(totals: Counter, model: str | None) -> dict:
    rows = totals["rows"]
    means = {aspect: totals[aspect] / rows if rows else None for aspect in ASPECTS}
    return {"mean": means["satisfaction"], **means, "rows": rows, "settings": {"judge": model or "the server's model"}}


def request_maker(args: argparse.Namespace) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        question, answer = need(row, args.prompt_key), need(row, args.response_key)
        lang = detect_language(question)
        prompt = load_prompt("eval", "rate_answer", lang if lang in PROMPT_LANGUAGES else "en", args.prompt_path)
        return Request(messages=[{"role": "user", "content": fill(prompt, question=question, answer=answer)}])

    return make_request


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="questions with answers")
    parser.add_argument("--save_path", required=True, help="the rows with marks")
    parser.add_argument("--prompt_key", default="question", help="key of the question")
    parser.add_argument("--response_key", default="answer", help="key of the answer")
    parser.add_argument("--prompt_path", help="your own prompt, with {question} and {answer}")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=1024)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    totals: Counter = Counter()

    def use_answer(row: dict, answer: Answer) -> dict:
        marks = read_marks(answer.text)
        totals.update(marks, rows=1)
        return row | {"marks": marks}

    reads = filter(None, [args.prompt_path])
    with Step([args.data_path], args.save_path, **step_options(args), reads=reads) as step:
        ask_rows(step, llm_options(args), request_maker(args), use_answer)
        step.facts["result"] = result_of(totals, args.model)
    print(json.dumps(step.facts["result"]))


if __name__ == "__main__":
    run_main(main)
