"""WebR step 2: for each page a request, either to transform it (web as instruction, WI) or one that it answers (WR).

    python webr/step2_make_requests.py --data_path out/authors.jsonl --save_path out/requests.jsonl

in   rows of step 1: {"webpage": "...", "page": 7, "lang": "en", "author": "..."}; a glob for several files of them
out  the same rows with "kind" (WI_all, WI_part, WR_all, WR_part: pages in order, 2:2:1:1), "section" (what is used of
     the page), "word" and "limit" (drawn from --seed and the page) and "request"
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow
from common.languages import NAMES, PROMPT_LANGUAGES
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.rows import scan_rows
from common.step import Step, add_step_arguments, need, step_options
from webr.answers import (
    Asking,
    add_answer_arguments,
    asking_options,
    messages,
    prompt,
    prompt_hashes,
    template,
    usable_text,
)
from webr.clean_up import clean_request
from webr.flavours import with_flavour
from webr.guards import Guards, request_fault
from webr.sections import KINDS, RATIO, draws, kind_of_page, take_section

LIMITS = (50, 100, 150, 200)  # words of a request
WORDS = {  # what the request is called; the last one for web as response only
    "en": ("request", "instruction", "question"),
    "zh": ("请求", "指令", "问题"),
    "es": ("petición", "instrucción", "pregunta"),
    "pt": ("pedido", "instrução", "pergunta"),
}


class KindStep(Step):
    """Gives each page its kind, and over several files of step 1, each numbered from 0, a number of its own."""

    kind_of: Callable[[int], str]

    def scan(self) -> Iterator[tuple[int, dict | BadRow]]:
        place = before = last = 0
        for index, row in super().scan():
            if not isinstance(row, BadRow) and isinstance(row.get("page"), int):
                if place and before + row["page"] <= last:  # the next file begins
                    before = last + 1
                last = before + row["page"]
                row = row | {"page": last, "kind": self.kind_of(place)}
                place += 1
            yield index, row


def count_pages(path: str, split: str | None) -> int:
    rows = (row for row in scan_rows(path, split) if not isinstance(row, BadRow))
    count = sum(isinstance(row.get("page"), int) for row in rows)
    if not count:
        raise BadInput(f"{path}: no row has a 'page' number; step1_infer_author.py gives it")
    return count


def draw_plan(row: dict, seed: int, released: frozenset[str]) -> dict:
    """What to ask for this page."""
    page, lang, kind = need(row, "webpage"), need(row, "lang"), row["kind"]
    draw = draws(seed, page, "request")
    words = WORDS[lang if lang in PROMPT_LANGUAGES else "en"]
    return {
        "section": take_section(page, draws(seed, page, "section"), "sections" in released),
        "word": draw.choice(words[:2] if kind.startswith("WI") else words),
        "limit": draw.choice(LIMITS),
    }


def request_maker(asking: Asking, seed: int) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        need(row, "page", int)
        plan, lang = draw_plan(row, seed, asking.released), row["lang"]
        values = {"page": plan["section"], "author": need(row, "author"), "language": NAMES.get(lang, lang)}
        values |= {"word": plan["word"], "limit": str(plan["limit"])}
        return Request(messages(asking, prompt(asking, row["kind"], lang, **values), lang))

    return make_request


def answer_user(step: Step, asking: Asking, seed: int) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        plan, lang = draw_plan(row, seed, asking.released), row["lang"]

        def fault(text: str, guards: Guards) -> str | None:
            return request_fault(
                text, plan["section"], template(asking, row["kind"], lang), plan["limit"], lang, guards
            )

        return row | plan | {"request": usable_text(step, asking, answer, clean_request, fault)}

    return use_answer


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
    parser.add_argument("--data_path", required=True, help="output of step 1, or a glob of several")
    parser.add_argument("--save_path", required=True, help="rows with requests; the ending is the format")
    group = parser.add_argument_group("draws")
    group.add_argument("--ratio", type=parse_ratio, default=list(RATIO), help=f"pages for {':'.join(KINDS)}")
    group.add_argument("--seed", type=int, default=0, help="of the random draws")
    guards = ["max_words", "max_run", "any_form", "keep_scaffolding", "any_language"]
    add_answer_arguments(parser, guards, ["split", "sections", "cleaning"])
    add_step_arguments(parser)
    add_llm_arguments(parser)
    return with_flavour(parser.parse_args())


def main() -> None:
    args = parse_args()
    asking = asking_options(args)
    count = count_pages(args.data_path, args.split)
    with KindStep([args.data_path], args.save_path, **step_options(args)) as step:
        step.kind_of = kind_of_page(count, args.ratio, "split" in asking.released)
        step.facts["prompts"] = prompt_hashes(asking, *KINDS)
        ask_rows(step, llm_options(args), request_maker(asking, args.seed), answer_user(step, asking, args.seed))


if __name__ == "__main__":
    run_main(main)
