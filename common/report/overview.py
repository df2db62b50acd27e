"""What came out of several runs, to look at: three rows of each before and after, on the terminal and on one page.

    python -m common.report.overview --save_path demo_output/index.html --show "WebR" demo_output/webr/report.html \
        demo_output/webr/refined.jsonl webpage request,response

in   for each --show: a title, the run's report, rows, the key of what went in, the keys of what came out
out  a page that links the reports and shows the rows side by side
"""

import argparse
import itertools
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.program import make_parser, run_main
from common.report import clip, link, samples, section, write_report
from common.rows import read_rows, refuse_overlap

ROWS = 3
ON_TERMINAL = 100  # characters


class Shown(NamedTuple):
    title: str
    report: str
    rows_path: str
    before: str
    after: str


def cards_of(shown: Shown) -> list[dict[str, str]]:
    """The first rows that have both; a value that is no text is shown as JSON."""
    keys = [shown.before, *shown.after.split(",")]
    rows = (row for row in read_rows(shown.rows_path, allow_nan=True) if all(row.get(key) is not None for key in keys))
    return [{key: as_text(row[key]) for key in keys} for row in itertools.islice(rows, ROWS)]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def print_cards(shown: Shown, cards: list[dict[str, str]]) -> None:
    print(f"\n{shown.title} ({shown.report})")
    for card in cards:
        for number, (key, text) in enumerate(card.items()):
            print(f"  {'->' if number else '  '} {key}: {clip(' '.join(text.split()), ON_TERMINAL)}")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="the page (.html)")
    parser.add_argument(
        "--show",
        nargs=5,
        action="append",
        required=True,
        metavar=("TITLE", "REPORT", "ROWS", "BEFORE", "AFTER"),
        help="one run; AFTER may be several keys with commas; may be repeated",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    runs, sections = list(itertools.starmap(Shown, args.show)), []
    refuse_overlap([path for shown in runs for path in (shown.rows_path, shown.report)], [args.save_path])
    for shown in runs:
        cards = cards_of(shown)
        print_cards(shown, cards)
        place = os.path.relpath(shown.report, Path(args.save_path).parent)
        sections.append(section(shown.title, link(place, "the whole report"), samples(cards)))
    write_report(args.save_path, "What came out", "Three rows of each run, before and after", sections)
    print(f"\n{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
