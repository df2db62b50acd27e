"""WebR step 2: for each page a request, either to transform it (web as instruction, WI) or one that it answers (WR).

    python webr/step2_make_requests.py --data_path out/authors.jsonl --save_path out/requests.jsonl

in   rows of step 1: {"webpage": "...", "page": 7, "lang": "en", "author": "..."}
out  the same rows with "kind" (WI_all, WI_part, WR_all, WR_part: pages in order, 2:2:1:1), "section" (what is used of
     the page), "word" and "limit" (drawn from --draw_seed and the page) and "request"
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow
from common.languages import NAMES, PROMPT_LANGUAGES
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import fill
from common.rows import scan_rows
from common.step import Step, add_step_arguments, need, step_options
from webr.answers import add_answer_arguments, prompt_for, prompt_hashes, usable_text
from webr.clean_up import clean_request
from webr.sections import KINDS, RATIO, draws, kind_of_page, take_section

LIMITS = (50, 100, 150, 200)  # words of a request
WORDS = {  # what the request is called; the last one for web as response only
    "en": ("request", "instruction", "question"),
    "zh": ("请求", "指令", "问题"),
    "es": ("petición", "instrucción", "pregunta"),
    "pt": ("pedido", "instrução", "pergunta"),
}


def draw_plan(row: dict, kind: str, args: argparse.Namespace) -> dict:
    """What to ask for this page."""
    page, lang = need(row, "webpage"), need(row, "lang")
    draw = draws(args.draw_seed, page, "request")
    words = WORDS[lang if lang in PROMPT_LANGUAGES else "en"]
    return {
        "kind": kind,
        "section": take_section(page, draws(args.draw_seed, page, "section"), args.paper_exact),
        "word": draw.choice(words[:2] if kind.startswith("WI") else words),
        "limit": draw.choice(LIMITS),
    }


def request_maker(args: argparse.Namespace, kind_of: Callable[[int], str]) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        plan = draw_plan(row, kind_of(need(row, "page", int)), args)
        values = {"page": plan["section"], "word": plan["word"], "limit": str(plan["limit"])}
        if plan["kind"].startswith("WI"):
            values["author"] = need(row, "author")
        prompt = fill(
            prompt_for(plan["kind"], row["lang"], args), language=NAMES.get(row["lang"], row["lang"]), **values
        )
        return Request(messages=[{"role": "user", "content": prompt}])

    return make_request


def answer_user(args: argparse.Namespace, kind_of: Callable[[int], str]) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        return row | draw_plan(row, kind_of(row["page"]), args) | {"request": usable_text(answer, clean_request, args)}

    return use_answer


def page_numbers(path: str, split: str | None) -> list[int]:
    rows = (row for row in scan_rows(path, split) if not isinstance(row, BadRow))
    pages = [row["page"] for row in rows if isinstance(row.get("page"), int)]
    if not pages:
        raise BadInput(f"{path}: no row has a 'page' number; step1_infer_author.py gives it")
    return pages


def parse_ratio(text: str) -> list[int]:
    try:
        ratio = [int(part) for part in text.split(":")]
    except ValueError:
        ratio = []
    if len(ratio) != len(KINDS) or min(ratio) < 0 or not any(ratio):
        raise argparse.ArgumentTypeError(f"{text}: expected four numbers such as 2:2:1:1")
    return ratio


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of step 1")
    parser.add_argument("--save_path", required=True, help="rows with requests; the ending is the format")
    parser.add_argument(
        "--ratio",
        type=parse_ratio,
        default=list(RATIO),
        help=f"pages for {':'.join(KINDS)}",
    )
    add_answer_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=1.0, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    kind_of = kind_of_page(page_numbers(args.data_path, args.split), args.ratio, args.paper_exact)
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(KINDS, args)
        ask_rows(step, llm_options(args), request_maker(args, kind_of), answer_user(args, kind_of))


if __name__ == "__main__":
    run_main(main)
