"""How many natural rows each numbered difference from the released code touches (README, "What we changed").

    python -m webr.compare_modes --data_path webr/sample/pages.jsonl
    python -m webr.compare_modes --data_path alpaca.json --prompt_key instruction --response_key output --page_key input

in   pages {"webpage": "..."}, rows of any step, or rows of another data set, whose keys are named; a point that needs
     what a row lacks leaves it out
out  a table: the point, rows that it concerns, rows that come out otherwise, the switch that restores the released rule
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.languages import detect_language
from common.program import make_parser, run_main
from common.refusals import is_refusal
from common.rows import read_rows
from webr import as_released, clean_up
from webr.guards import Guards, author_fault, request_fault, response_fault, row_fault
from webr.near_duplicates import find_near_duplicates, word_ids
from webr.sections import RATIO, kind_of_page, sections_of

LIMIT = 200  # words of a request at most: which of the four limits a row had is not always known

NOTE = "without_improvement_note"
BOTH = ("request", "response")

Rule = Callable[[dict], bool]


def sections_differ(row: dict) -> bool:
    """Whether any draw can give another section."""
    ours, glue = sections_of(row["page"])
    released = as_released.sections(row["page"])
    return [glue.join(ours[: n + 1]) for n in range(len(ours))] != [
        "\n\n".join(released[: n + 1]) for n in range(len(released))
    ]


def differs(key: str, ours: str, released: str) -> Rule:
    return lambda row: getattr(clean_up, ours)(row[key]) != getattr(as_released, released)(row[key])


def refusals_differ(row: dict) -> bool:
    return is_refusal(row["response"]) != as_released.is_refusal(row["response"])


def turned_down(fault: Callable[[dict, str], str | None], word: str) -> Rule:
    return lambda row: word in (fault(row, row["lang"]) or "")


def asked(row: dict, lang: str) -> str | None:
    return request_fault(row["request"], row["page"], "", LIMIT, lang, Guards())


def answered(row: dict, lang: str) -> str | None:
    return response_fault(row["response"], row["request"], "", lang, Guards())


def finished(row: dict, lang: str) -> str | None:
    return row_fault(row["request"], row["response"], row["page"], lang, Guards())


def described(row: dict, lang: str) -> str | None:
    return author_fault(row["author"], row["page"], "", lang, Guards())


# Number in the README, what differs, the switch, what a row must have, and whether this row comes out otherwise.
POINTS: list[tuple[str, str, str, tuple[str, ...], Rule]] = [
    ("4", "sections", "--as_released sections", ("page",), sections_differ),
    ("5", "cleaned request", "--as_released cleaning", ("request",), differs("request", "clean_request", "clean")),
    ("5", "cleaned response", "--as_released cleaning", ("response",), differs("response", "clean_response", "clean")),
    ("6", "refusal", "--as_released refusals", ("response",), refusals_differ),
    ("7", "note of improvement", "--as_released notes", ("response",), differs("response", NOTE, NOTE)),
    ("10", "author is longer than asked", "--max_words 0", ("author",), turned_down(described, "longer")),
    ("10", "author copies the page", "--max_run 0", ("author", "page"), turned_down(described, "copies")),
    ("10", "author is in another language", "--any_language", ("author", "page"), turned_down(described, " is in ")),
    ("10", "author is no person", "--any_form", ("author",), turned_down(described, "person")),
    ("10", "author repeats itself", "--any_form", ("author",), turned_down(described, "itself")),
    ("10", "request is longer than asked", "--max_words 0", ("request",), turned_down(asked, "longer")),
    ("10", "request copies the page", "--max_run 0", ("request", "page"), turned_down(asked, "copies")),
    ("10", "request is in another language", "--any_language", ("request",), turned_down(asked, " is in ")),
    ("10", "request asks for nothing", "--any_form", ("request",), turned_down(asked, "nothing")),
    ("10", "request repeats itself", "--any_form", ("request",), turned_down(asked, "itself")),
    ("10", "response repeats the request", "--max_repeated 1", BOTH, turned_down(answered, "repeats the request")),
    ("10", "response is in another language", "--any_language", BOTH, turned_down(answered, " is in ")),
    ("10", "response repeats itself", "--any_form", BOTH, turned_down(answered, "itself")),
    ("10", "response copies the page", "--max_copied 1", ("response", "page"), turned_down(finished, "copies")),
    ("10", "request is too short", "--min_request_chars 0", BOTH, turned_down(finished, "request shorter")),
    ("10", "response is too short", "--min_response_chars 0", BOTH, turned_down(finished, "response shorter")),
]


def read_all(args: argparse.Namespace) -> Iterator[dict]:
    keys = {"page": [args.page_key, "webpage"], "author": ["author"]}
    keys |= {"request": [args.prompt_key], "response": [args.response_key]}
    for row in read_rows(args.data_path):
        found = {
            name: next((row[key] for key in named if isinstance(row.get(key), str) and row[key]), "")
            for name, named in keys.items()
        }
        yield found | {"lang": row.get("lang") or detect_language(" ".join(found.values()))}


def compare(rows: list[dict]) -> Iterator[tuple[str, str, str, int, int]]:
    pages = [row for row in rows if row["page"]]
    kinds, released = kind_of_page(len(pages), RATIO), kind_of_page(len(pages), RATIO, paper_exact=True)
    if pages:
        moved = sum(kinds(place) != released(place) for place in range(len(pages)))
        yield "3", "kind of the page", "--as_released split", len(pages), moved
    for number, what, switch, needed, otherwise in POINTS:
        concerned = [row for row in rows if all(row[name] for name in needed)]
        if concerned:
            yield number, what, switch, len(concerned), sum(map(otherwise, concerned))
    requests = [word_ids(row["request"]) for row in rows if row["request"]]
    if requests:
        ours, theirs = (find_near_duplicates(requests, paper_exact=exact) >= 0 for exact in (False, True))
        yield "8", "near-duplicate request", "--as_released duplicates", len(requests), int((ours != theirs).sum())


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="pages, or rows with requests and responses")
    parser.add_argument("--page_key", default="section", help="key of the page; where it is missing, webpage")
    parser.add_argument("--prompt_key", default="request", help="key of the request")
    parser.add_argument("--response_key", default="response", help="key of the response")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows = list(read_all(args))
    if not any(row[name] for row in rows for name in ("page", "author", "request", "response")):
        raise BadInput(f"{args.data_path}: no page, author, request or response under these keys")
    print(f"{'point':>5}  {'what':32} {'rows':>7} {'differ':>7} {'share':>7}  switch")
    for number, what, switch, count, differ in compare(rows):
        print(f"{number:>5}  {what:32} {count:7,} {differ:7,} {differ / count:7.2%}  {switch}")


if __name__ == "__main__":
    run_main(main)
