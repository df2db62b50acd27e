"""Find the high-quality problem that each crawled problem is a noisy copy of.

    python web_to_sft/step1_match_pairs.py --web_path web.jsonl --high_quality_path clean.jsonl --save_path pairs.jsonl

in   web rows {"question": "【题文】小明有3个苹果…", "raw_analysis": "解：3+2=5．"}, in any format of common/rows.py
     high-quality rows {"input": ["小明有3个苹果…"], "solve_step": ["3+2=5"]}
out  one line a paired web row, in web order: {"highquality_idx": 17, "web57w_idx": 0}
     <output>.near_misses.jsonl: some web rows whose question is close but whose analysis lacks the solution, to look at
     <output>.manifest.json: with the histogram of distances
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow, BadValue
from common.program import make_parser, progress, run_main
from common.rows import RowWriter, scan_rows
from common.step import Step, add_step_arguments, need, step_options
from web_to_sft.fuzzy_pairs import NORMALIZERS, SCORERS, Index, match_all

NEVER_MATCHES = "\0" * 16  # no normaliser leaves such a text


def text_of(row: dict, key: str) -> str:
    """The column's text; the paper's high-quality rows hold it as the only element of a list."""
    value = need(row, key, (str, list))
    if isinstance(value, list):
        if not value or not isinstance(value[0], str):
            raise BadValue(f"{key!r} is a list that does not begin with a text")
        value = value[0]
    return value


def texts_of(path: str, index: int, row: dict, keys: tuple[str, str]) -> tuple[str, str]:
    """Both texts of a row that cannot be done without."""
    try:
        return text_of(row, keys[0]), text_of(row, keys[1])
    except BadValue as problem:
        raise BadRow(path, index, problem.reason) from None


def read_high_quality(args: argparse.Namespace) -> tuple[Index, int]:
    """The index, and how many bad rows hold a place in it without ever matching."""
    normalise = NORMALIZERS[args.normalizer]
    questions, solutions, bad = [], [], 0
    for index, row in enumerate(scan_rows(args.high_quality_path)):
        try:
            if isinstance(row, BadRow):
                raise row
            question = normalise(text_of(row, args.high_quality_question_key))
            solution = normalise(text_of(row, args.high_quality_solution_key))
        except (BadRow, BadValue) as problem:
            if args.on_bad_row == "stop":
                raise BadRow(args.high_quality_path, index, getattr(problem, "reason", str(problem))) from None
            question = solution = NEVER_MATCHES
            bad += 1
        questions.append(question)
        solutions.append(solution)
    if bad == len(questions):
        raise BadInput(f"{args.high_quality_path}: has no usable rows")
    return Index(questions, solutions, strict=args.normalizer != "paper", check_answers=args.check_answers), bad


def read_web(args: argparse.Namespace, step: Step, places: list[int]) -> Iterator[tuple[str, str]]:
    """(question, analysis) of the usable web rows; where each stands in the file goes to `places`."""
    for index, row in progress(step.rows(), total=step.total(), unit="row"):
        try:
            texts = text_of(row, args.web_question_key), text_of(row, args.web_analysis_key)
        except BadValue as problem:
            step.reject(*step.bad_row(index, problem, row))
            continue
        places.append(index)
        yield texts


def histogram(distances: Counter) -> dict[str, int]:
    return {str(distance): count for distance, count in sorted(distances.items())}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--web_path", required=True, help="crawled problems")
    parser.add_argument(
        "--high_quality_path",
        required=True,
        help="clean problems, read into memory (of several splits: the folder of one)",
    )
    parser.add_argument("--save_path", required=True, help="pairs of indices")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--near_misses", type=int, default=200, help="how many to keep for inspection")
    keys = parser.add_argument_group("columns (defaults: the paper's)")
    keys.add_argument("--web_question_key", default="question", help="key of the crawled problem")
    keys.add_argument("--web_analysis_key", default="raw_analysis", help="key of its solution")
    keys.add_argument("--high_quality_question_key", default="input", help="key of the clean problem")
    keys.add_argument("--high_quality_solution_key", default="solve_step", help="key of its solution")
    rule = parser.add_argument_group("rule (defaults: the paper's, exactly)")
    rule.add_argument(
        "--normalizer",
        choices=list(NORMALIZERS),
        default="paper",
        help="paper: CJK, digits and single letters; unicode: any language, operators and decimal points stay, and "
        "empty texts match nothing",
    )
    rule.add_argument(
        "--check_answers", action="store_true", help="ask for the solution even where the questions are equal"
    )
    rule.add_argument(
        "--matcher",
        choices=["paper", "rapidfuzz"],
        default="paper",
        help="paper: first row within distance 5 with the solution; rapidfuzz: most similar question",
    )
    rule.add_argument("--scorer", choices=list(SCORERS), default="ratio", help="similarity of rapidfuzz")
    rule.add_argument("--score_cutoff", type=float, default=90.0, help="least similarity, 0 to 100")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    highquality, bad = read_high_quality(args)
    distances, places = Counter(), []
    near_misses = RowWriter(Path(f"{args.save_path}.near_misses.jsonl"))
    with Step([args.web_path, args.high_quality_path], args.save_path, **step_options(args)) as step, near_misses:
        matches = match_all(
            highquality,
            read_web(args, step, places),
            args.normalizer,
            args.matcher,
            args.scorer,
            args.score_cutoff,
            args.workers,
        )
        for at, match in enumerate(matches):
            web = places[at]
            if match.highquality is not None:
                distances[int(match.distance)] += 1
                step.counts["paired"] += 1
                step.write({"highquality_idx": match.highquality, "web57w_idx": web})
                continue
            step.write()
            if match.rejected is not None:
                step.counts["close question, other solution"] += 1
                if near_misses.count < args.near_misses:
                    near_misses.write(
                        {"highquality_idx": match.rejected, "web57w_idx": web, "distance": match.distance}
                    )
        if bad:
            step.counts["bad clean rows"] = bad
        step.facts["distances"] = histogram(distances)
    for distance, count in histogram(distances).items():
        print(f"distance {distance}: {count:,} pairs")


if __name__ == "__main__":
    run_main(main)
