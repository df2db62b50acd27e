"""The share of your rows that each point touches in which we differ from the released code, and its switch.

    python web_to_sft/compare_modes.py --data_path web.jsonl --high_quality_path clean.jsonl \\
        --converted_path converted.jsonl --scored_path 'evaluation/*.scored.jsonl'

in   crawled rows, for the rule baseline; with the other three also pairing, parsing, verdicts on mathematics
out  a line a point on stdout, and with --save_path the same as json:
     {"part": "rule baseline", "point": "commas", "rows": 600, "touched": 3, "share": 0.005, "switch": "--as_…"}
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.program import make_parser, progress, run_main
from common.rows import input_files, read_rows, refuse_overlap, write_text
from web_to_sft import cleaning_rules, conversions
from web_to_sft.fuzzy_pairs import Index, match_all
from web_to_sft.inputs import add_column_arguments, split_of, text_of
from web_to_sft.normalizers import NORMALIZERS

PAIRING = {  # options of step 1 that leave the released rule
    "--normalizer unicode": {"normalizer": "unicode"},
    "--check_answers": {"check_answers": True},
    "--matcher rapidfuzz": {"matcher": "rapidfuzz"},
}
VERDICTS = (("is_correct", "is_equal"), ("match", "last_match"))  # the released one, and ours beside it


def point(part: str, name: str, rows: int, touched: int, switch: str) -> dict[str, Any]:
    share = touched / rows if rows else None
    return {"part": part, "point": name, "rows": rows, "touched": touched, "share": share, "switch": switch}


def shown(line: dict[str, Any]) -> str:
    share = "-" if line["share"] is None else f"{line['share']:.1%}"
    return f"{line['part']:14} {line['point']:34} {share:>7} of {line['rows']:>7,} rows   {line['switch']}"


def points_of(
    part: str, rows: Iterable[dict], repairs: Mapping[str, str], result: Callable[[dict, Set[str]], Any]
) -> Iterator[dict]:
    """Rows whose result one repair changes, and those that differ from the released code in any way."""
    touched, count = dict.fromkeys([*repairs, "any"], 0), 0
    for row in progress(rows, desc=part, unit="row"):
        count += 1
        ours = result(row, repairs.keys())
        for name in repairs:
            touched[name] += result(row, repairs.keys() - {name}) != ours
        touched["any"] += result(row, frozenset()) != ours
    for name, number in touched.items():
        switch = "--paper_exact" if name == "any" else f"--as_released {name}"
        yield point(part, name, count, number, switch)


def cleaned(text: str, repairs: Set[str]) -> tuple[str, str]:
    analysis = cleaning_rules.clean_analysis(text, repairs)
    return analysis, cleaning_rules.solution_steps(analysis, repairs)


def converted(row: dict, response_key: str, question_key: str, repairs: Set[str]) -> dict | str:
    try:
        return conversions.to_sft_row(row, response_key, question_key, repairs)
    except Reject as why:
        return why.reason


def pairs(web: list[tuple[str, str]], clean: list[tuple[str, str]], **options: Any) -> list[int | None]:
    """The clean row of each crawled row, or None, as step 1 finds it with these options."""
    check_answers, normalizer = options.pop("check_answers", False), options.get("normalizer", "paper")
    texts = [[NORMALIZERS[normalizer](text) for text in column] for column in zip(*clean, strict=True)]
    index = Index(*texts, strict=normalizer != "paper", check_answers=check_answers)
    return [match.highquality for match in match_all(index, web, **options)]


def pairing_points(web: list[tuple[str, str]], clean: list[tuple[str, str]]) -> Iterator[dict]:
    released = pairs(web, clean)
    for switch, options in PAIRING.items():
        differing = sum(ours != theirs for ours, theirs in zip(pairs(web, clean, **options), released, strict=True))
        yield point("pairing", "the default is the released rule", len(web), differing, f"without {switch}")


def verdict_points(path: str) -> Iterator[dict]:
    rows = list(read_rows(path))
    for released, ours in VERDICTS:
        judged = [bool(row[released]) == bool(row[ours]) for row in rows if released in row and ours in row]
        if judged:
            yield point("evaluation", f"{ours} beside {released}", len(judged), judged.count(False), f"read {released}")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="crawled rows")
    parser.add_argument("--high_quality_path", help="clean rows, to compare pairings")
    parser.add_argument("--converted_path", help="output of step 4, to compare parsings")
    parser.add_argument("--scored_path", help="rows that the programs of eval/ scored; a quoted glob takes several")
    parser.add_argument("--response_key", default="output", help="column of the converter's text")
    parser.add_argument("--save_path", help="the table as json")
    parser.add_argument("--split", help="split to read of the inputs that are dataset folders with several")
    add_column_arguments(parser)
    return parser.parse_args()


def all_points(args: argparse.Namespace) -> Iterator[dict]:
    def rows(path: str) -> Iterator[dict]:
        return read_rows(path, split_of(path, args.split))

    def texts(path: str, *keys: str) -> list[tuple[str, ...]]:
        return [tuple(text_of(row, key) for key in keys) for row in rows(path)]

    def clean(row: dict, repairs: Set[str]) -> tuple[str, str]:
        return cleaned(text_of(row, args.web_analysis_key), repairs)

    def parse(row: dict, repairs: Set[str]) -> dict | str:
        return converted(row, args.response_key, args.web_question_key, repairs)

    yield from points_of("rule baseline", rows(args.data_path), cleaning_rules.REPAIRS, clean)
    if args.high_quality_path:
        web = texts(args.data_path, args.web_question_key, args.web_analysis_key)
        keys = args.high_quality_question_key, args.high_quality_solution_key
        yield from pairing_points(web, texts(args.high_quality_path, *keys))
    if args.converted_path:
        yield from points_of("parsing", rows(args.converted_path), conversions.REPAIRS, parse)
    if args.scored_path:
        yield from verdict_points(args.scored_path)


def main() -> None:
    args = parse_args()
    inputs = [args.data_path, args.high_quality_path, args.converted_path, args.scored_path]
    if args.save_path:
        refuse_overlap([file for path in inputs if path for file in input_files(path)], [args.save_path])
    points = list(all_points(args))
    for line in points:
        print(shown(line))
    if args.save_path:
        write_text(Path(args.save_path), json.dumps(points, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
