"""Exact match of short answers: SQuAD, TriviaQA, DROP, as AugCon's paper reports them (closed book, any gold counts).

    python eval/short_answers.py --data_path answers.jsonl --save_path squad.scored.jsonl --golden_key answers

in   {"question": "…", "answers": ["Denver Broncos", "the Broncos"], "response": "Broncos"} a line; golds are a text, a
     list, SQuAD's {"text": […]} or TriviaQA's {"value": …, "aliases": […]}
out  the rows with "match" and "f1", and {"exact_match": 0.71, "f1": 0.78, "rows": 1000} on stdout; --bert_score DIR, a
     folder of roberta-large, adds "bert_score" to both (WebGLM-QA's long answers)
Compared are lower-case words without articles and punctuation; numbers by value, so 1,000 is 1000.
"""

import argparse
import json
import re
import string
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue
from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, map_rows, need, step_options
from eval.bert_score import LAYER, bert_scorer

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’“”´`。，、；：！？（）《》")
NUMBER = re.compile(r"(?<=\d),(?=\d{3}\b)")


def normal(text: str) -> str:
    return " ".join(ARTICLES.sub(" ", NUMBER.sub("", text).lower().translate(PUNCTUATION)).split())


def golds_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value.get("text") or [value.get("value"), *value.get("aliases", [])]
    golds = [value] if isinstance(value, str | int | float) else value
    texts = [str(gold) for gold in golds or () if gold not in (None, "")]
    if not texts:
        raise BadValue("no gold answer")
    return texts


def exact(answer: str, golds: list[str]) -> bool:
    return any(normal(answer) == normal(gold) for gold in golds)


def f1(answer: str, golds: list[str]) -> float:
    return max(_f1(normal(answer).split(), normal(gold).split()) for gold in golds)


def _f1(answer: list[str], gold: list[str]) -> float:
    shared = (Counter(answer) & Counter(gold)).total()
    return 2 * shared / (len(answer) + len(gold)) if shared else float(answer == gold)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="questions with answers, from eval/generate.py")
    parser.add_argument("--save_path", required=True, help="the rows with verdicts")
    parser.add_argument("--golden_key", default="golden", help="key of the gold answers")
    parser.add_argument("--response_key", default="response", help="key of the answer")
    parser.add_argument("--bert_score", metavar="DIR", help="add BERTScore by the encoder of this folder")
    parser.add_argument("--bert_layer", type=int, default=LAYER, help="whose states are compared; 17 for roberta-large")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    totals: Counter[str] = Counter()
    nearness = bert_scorer(args.bert_score, args.bert_layer) if args.bert_score else None

    def verdict(row: dict) -> dict:
        answer, golds = need(row, args.response_key), golds_of(need(row, args.golden_key, object))
        match, overlap = exact(answer, golds), f1(answer, golds)
        totals.update(rows=1, match=int(match), f1=overlap)
        more = {"bert_score": nearness(answer, golds)} if nearness else {}
        totals.update(more)
        return row | {"match": match, "f1": overlap} | more

    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        map_rows(step, verdict)
        rows = totals["rows"]
        result = {"exact_match": totals["match"] / rows, "f1": totals["f1"] / rows} if rows else {"exact_match": None}
        if nearness and rows:
            encoder = f"{Path(args.bert_score).name}, layer {args.bert_layer}"
            result |= {"bert_score": totals["bert_score"] / rows, "settings": {"encoder": encoder}}
        step.facts["result"] = result | {"rows": rows}
    print(json.dumps(step.facts["result"]))


if __name__ == "__main__":
    run_main(main)
