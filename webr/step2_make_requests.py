"""WebR step 2: a request for which the page is the material (web as instruction), or the answer (web as response).

    python webr/step2_make_requests.py --data_path authors.jsonl --save_path requests.jsonl

in   the rows of step 1
out  each with "kind" (WI_all, WI_part, WR_all, WR_part), "section" (the part of the page that is used) and "request"

The pages are divided in order, 2 : 2 : 1 : 1. What is drawn (how much of a page, the word for it, its longest length)
depends on --seed and the page alone, so a repeated or resumed run draws the same.
"""

import argparse

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows
from common.prompts import fill
from common.rows import scan_rows
from common.step import BadValue, Step, add_step_arguments, need, run_main
from webr.clean_up import clean_request, is_refusal
from webr.languages import NAMES
from webr.sections import KINDS, RATIO, draws, kind_of_page, take_section
from webr.step1_infer_author import prompt_for

WORD_LIMITS = (50, 100, 150, 200)
WORDS = {  # the paper draws request or instruction, for web as response also question
    "en": ("request", "instruction", "question"),
    "zh": ("请求", "指令", "问题"),
    "es": ("petición", "instrucción", "pregunta"),
    "pt": ("solicitação", "instrução", "pergunta"),
}


def plan(row: dict, kind: str, seed: int, paper_exact: bool) -> dict:
    """What is drawn for a page."""
    page = need(row, "webpage")
    section = take_section(page, draws(seed, page, "section"), paper_exact)
    draw = draws(seed, page, "request")
    words = WORDS.get(row.get("lang", "en"), WORDS["en"])
    return {
        "kind": kind,
        "section": section,
        "word": draw.choice(words if kind.startswith("WR") else words[:2]),
        "limit": draw.choice(WORD_LIMITS),
    }


def planned_rows(args: argparse.Namespace) -> str:
    """Draw for every page before anything is asked; the file that holds the rows with their draws."""
    path = f"{args.save_path}.plan.jsonl"
    total = sum(1 for _ in scan_rows(args.data_path, args.split))
    kind_of = kind_of_page(range(total), args.ratio, args.paper_exact)
    with Step(args, [args.data_path], path) as step:
        for index, row in step.rows():
            try:
                step.write(row | plan(row, kind_of(index), args.draw_seed, args.paper_exact))
            except BadValue as why:
                step.reject(*step.bad_row(index, why, row))
    return path


def ratio(text: str) -> list[int]:
    shares = [int(share) for share in text.split(":")]
    if len(shares) != len(KINDS) or min(shares) < 0 or not sum(shares):
        raise argparse.ArgumentTypeError(f"{text}: expected four shares, {':'.join(KINDS)}, such as 2:2:1:1")
    return shares


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="pages with authors, from step 1")
    parser.add_argument("--save_path", required=True, help="pages with requests (.jsonl)")
    parser.add_argument("--ratio", type=ratio, default=list(RATIO), help=f"of {':'.join(KINDS)} (default: 2:2:1:1)")
    parser.add_argument("--draw_seed", type=int, default=0, help="of the random draws (default: 0)")
    parser.add_argument("--paper_exact", action="store_true", help="sections and shares as released")
    parser.add_argument("--prompt_folder", help="your own wi_all.txt, wi_part.txt, wr_all.txt, wr_part.txt")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.6, top_p=0.9, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    def make_request(row: dict) -> Request:
        name, lang = row["kind"].lower(), row.get("lang", "en")
        template = prompt_for(name, lang, f"{args.prompt_folder}/{name}.txt" if args.prompt_folder else None)
        drawn = {"page": row["section"], "word": row["word"], "words": str(row["limit"])}
        text = fill(template, author=need(row, "author"), language=NAMES.get(lang, lang), **drawn)
        return Request(messages=[{"role": "user", "content": text}])

    def use_answer(row: dict, answer: Answer) -> dict:
        request = clean_request(answer.text, args.paper_exact)
        if not request or is_refusal(request):
            raise Reject("no request: empty or a refusal")
        if answer.finish_reason == "length":
            raise Reject("the request is cut off")
        return {key: value for key, value in row.items() if key not in ("word", "limit")} | {"request": request}

    with Step(args, [planned_rows(args)], args.save_path) as step:
        ask_rows(step, args, make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
