"""What came out of several runs, to look at: three rows of each before and after, on the terminal and on one page.

    python -m common.report.overview --save_path demo_output/index.html --show "WebR" demo_output/webr/report.html \
        demo_output/webr/refined.jsonl webpage request,response

in   for each --show: a title, the run's report, rows, the key of what went in, the keys of what came out
     --folder: the runs' folder, whose manifests say of each step that asked a model how many rows it answered as asked
out  a page that links the reports and shows the rows side by side; a run that left no rows is told as such
"""

import argparse
import itertools
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common import manifest
from common.program import make_parser, run_main
from common.report import clip, link, samples, section, table, write_report
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
    if not Path(shown.rows_path).exists():
        return []
    keys = [shown.before, *shown.after.split(",")]
    rows = (row for row in read_rows(shown.rows_path, allow_nan=True) if all(row.get(key) is not None for key in keys))
    return [{key: as_text(row[key]) for key in keys} for row in itertools.islice(rows, ROWS)]


def as_text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Asked(NamedTuple):
    """What a step that asked a model says of it."""

    output: str
    model: str
    rows: int
    answered: int
    reason: str  # why rows were set aside, most often
    tokens: int
    seconds: float

    def sentence(self) -> str:
        why = f"; most often: {self.reason}" if self.reason else ""
        return f"{self.output}: {self.model} answered {self.answered} of {self.rows} in the asked form{why}"


def steps_that_asked(folder: str) -> list[Asked]:
    found = []
    for path in sorted(Path(folder).rglob("*.manifest.json"), key=lambda path: path.stat().st_mtime):
        facts = manifest.read(path)
        if (facts.get("llm") or {}).get("model"):
            counts, output = facts["counts"], Path(str(path).removesuffix(".manifest.json"))
            model = Path(facts["llm"]["model"]).name
            answered, turned_down = counts.get("done", 0), turned_down_answers(output)
            rows = answered + turned_down.total()
            reason = clip(turned_down.most_common(1)[0][0], ON_TERMINAL) if turned_down else ""
            found.append(
                Asked(
                    str(output.relative_to(folder)),
                    model,
                    rows,
                    answered,
                    reason,
                    counts.get("tokens out", 0),
                    facts["seconds"],
                )
            )
    return found


def turned_down_answers(output: Path) -> Counter:
    """Why rows were set aside after the model had answered: a near-duplicate, say, was never asked about."""
    rejected = Path(f"{output}.rejected.jsonl")
    rows = read_rows(rejected) if rejected.exists() else ()
    return Counter(row["reason"] for row in rows if "answer" in row)


def print_cards(shown: Shown, cards: list[dict[str, str]]) -> None:
    print(f"\n{shown.title} ({shown.report})")
    if not cards:
        print("     no rows came out")
    for card in cards:
        for number, (key, text) in enumerate(card.items()):
            print(f"  {'->' if number else '  '} {key}: {clip(' '.join(text.split()), ON_TERMINAL)}")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="the page (.html)")
    parser.add_argument("--folder", help="folder of the runs: what the model answered in each step is told too")
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
        parts = [link(place, "the whole report")] if Path(shown.report).exists() else []
        sections.append(section(shown.title, *parts, samples(cards)))
    if args.folder and (asked := steps_that_asked(args.folder)):
        print("\nwhat the model answered", *(f"  {step.sentence()}" for step in asked), sep="\n")
        header = ["step's output", "model", "rows asked about", "answered as asked", "set aside, most often"]
        header += ["tokens out", "seconds"]
        note = "A row whose answers never had the asked form stands in the output's .rejected.jsonl, with the last one."
        sections.append(section("What the model answered", table(header, asked), note=note))
    write_report(args.save_path, "What came out", "Three rows of each run, before and after", sections)
    print(f"\n{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
