"""WebR step 1: infer from each page who wrote it, in at most 30 words.

    python webr/step1_infer_author.py --data_path webr/sample/pages.jsonl --save_path out/authors.jsonl

in   {"webpage": "Credit unions must raise interest rates, says new report\\nThe sector ..."}
out  the same rows with "page" (its number from 0), "lang" and "author"; near-duplicate pages (--dedup_pages) are
     set aside in out/authors.jsonl.rejected.jsonl before anything is paid for them
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadRow, Reject
from common.languages import NAMES, PROMPT_LANGUAGES, detect_language
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
from webr.clean_up import clean_response
from webr.flavours import with_flavour
from webr.guards import Guards, author_fault
from webr.near_duplicates import find_near_duplicates, word_ids

WORDS_OF_PAGES = 3  # pages are compared by runs of three words, requests by single tokens


class PageStep(Step):
    """Gives each row the number of its page, by which all later steps know it."""

    def scan(self) -> Iterator[tuple[int, dict | BadRow]]:
        for index, row in super().scan():
            yield index, row if isinstance(row, BadRow) else row | {"page": index}


def duplicate_pages(path: str, split: str | None) -> list[int]:
    """For each row the page that it nearly repeats, or -1."""
    pages = (row.get("webpage") if isinstance(row, dict) else "" for row in scan_rows(path, split))
    # A row without a page repeats nothing, not even another such row: its own number is its only word.
    words = (
        word_ids(page, WORDS_OF_PAGES) if isinstance(page, str) and page.strip() else [index]
        for index, page in enumerate(pages)
    )
    return find_near_duplicates(words).tolist()


def request_maker(asking: Asking, lang: str, repeats: list[int]) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        page = need(row, "webpage")
        if not page.strip():
            raise Reject("the page has no text")
        if repeats and repeats[row["page"]] >= 0:
            raise Reject(f"near-duplicate of page {repeats[row['page']]}")
        its = language_of(page, lang)
        return Request(messages(asking, prompt(asking, "author", its, page=page, language=NAMES[its]), its))

    return make_request


def language_of(page: str, lang: str) -> str:
    return detect_language(page) if lang == "auto" else lang


def answer_user(step: Step, asking: Asking, lang: str) -> Callable[[dict, Answer], dict]:
    def use_answer(row: dict, answer: Answer) -> dict:
        its = language_of(row["webpage"], lang)

        def fault(text: str, guards: Guards) -> str | None:
            return author_fault(text, row["webpage"], template(asking, "author", its), its, guards)

        author = usable_text(step, asking, answer, clean_response, fault, str)  # released: as it comes
        return row | {"lang": its, "author": author}

    return use_answer


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="pages: json, jsonl, parquet, arrow, a dataset folder")
    parser.add_argument("--save_path", required=True, help="pages with authors; the ending is the format")
    group = parser.add_argument_group("pages")
    group.add_argument(
        "--lang",
        choices=["auto", *PROMPT_LANGUAGES],
        default="auto",
        help="language of prompts and answers; auto: that of each page",
    )
    group.add_argument("--dedup_pages", action="store_true", help="set near-duplicate pages aside (Jaccard 0.7)")
    add_answer_arguments(parser, ["max_words", "max_run", "any_form", "keep_scaffolding", "any_language"])
    add_step_arguments(parser)
    add_llm_arguments(parser)
    return with_flavour(parser.parse_args())


def main() -> None:
    args = parse_args()
    asking = asking_options(args)
    repeats = duplicate_pages(args.data_path, args.split) if args.dedup_pages else []
    with PageStep([args.data_path], args.save_path, **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(asking, "author")
        make_request, use_answer = request_maker(asking, args.lang, repeats), answer_user(step, asking, args.lang)
        ask_rows(step, llm_options(args), make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
