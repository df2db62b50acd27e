"""Find the high-quality problem that each crawled problem is a noisy copy of.

    python web_to_sft/step1_match_pairs.py --web_path web.jsonl --high_quality_path clean.jsonl --save_path pairs.jsonl

in   web rows {"question": "【题文】小明有3个苹果…", "raw_analysis": "解：3+2=5．"}, in any format of common/rows
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

from common.errors import BadInput, BadRow
from common.program import make_parser, positive, run_main
from common.rows import RowWriter, scan_rows
from common.step import Step, add_step_arguments, step_options
from web_to_sft.fuzzy_pairs import SCORERS, Index, Match, match_all
from web_to_sft.inputs import add_column_arguments, split_of, text_of, texts_of
from web_to_sft.normalizers import NORMALIZERS

NEVER_MATCHES = "\0" * 16  # no normaliser leaves such a text


def read_high_quality(args: argparse.Namespace) -> tuple[Index, int]:
    """The index, and how many bad rows hold a place in it without ever matching."""
    normalise = NORMALIZERS[args.normalizer]
    keys = args.high_quality_question_key, args.high_quality_solution_key
    texts, bad = [], 0
    for index, row in enumerate(scan_rows(args.high_quality_path, split_of(args.high_quality_path, args.split))):
        try:
            question, solution = texts_of(args.high_quality_path, index, row, keys)
            texts.append((normalise(question), normalise(solution)))
        except BadRow:
            if args.on_bad_row == "stop":
                raise
            texts.append((NEVER_MATCHES, NEVER_MATCHES))
            bad += 1
    if bad == len(texts):
        raise BadInput(f"{args.high_quality_path}: has no usable rows")
    questions, solutions = zip(*texts, strict=True)
    return Index(questions, solutions, strict=args.normalizer != "paper", check_answers=args.check_answers), bad


def web_texts(step: Step, keys: tuple[str, str], places: list[int]) -> Iterator[tuple[str, str]]:
    """(question, analysis) of the usable web rows; where each stands in the file goes to `places`."""
    for index, _, texts in step.values(lambda row: (text_of(row, keys[0]), text_of(row, keys[1]))):
        places.append(index)
        yield texts


def write_pairs(step: Step, matches: Iterator[Match], places: list[int], near_misses: RowWriter, kept: int) -> Counter:
    """Pairs into the output, near misses beside it; how many pairs have which score."""
    scores: Counter[int] = Counter()
    for at, match in enumerate(matches):
        web = places[at]
        if match.highquality is not None:
            scores[int(match.score)] += 1
            step.counts["paired"] += 1
            step.write({"highquality_idx": match.highquality, "web57w_idx": web})
            continue
        step.write()
        if match.rejected is not None:
            step.counts["close question, other solution"] += 1
            if near_misses.count < kept:
                near_misses.write({"highquality_idx": match.rejected, "web57w_idx": web, "distance": match.score})
    return scores


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--web_path", required=True, help="crawled problems")
    parser.add_argument("--high_quality_path", required=True, help="clean problems, read into memory")
    parser.add_argument("--save_path", required=True, help="pairs of indices")
    parser.add_argument("--num_workers", type=positive, default=os.cpu_count(), help="processes for a large crawl")
    parser.add_argument("--near_misses", type=int, default=200, help="how many to keep for inspection")
    add_column_arguments(parser)
    rule = parser.add_argument_group("rule (the paper's, exactly, if nothing is said)")
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
    high_quality, bad = read_high_quality(args)
    near_path = Path(f"{args.save_path}.near_misses.jsonl")
    options = step_options(args) | {"split": split_of(args.web_path, args.split), "writes": [near_path]}
    inputs = [args.web_path, args.high_quality_path]
    with Step(inputs, args.save_path, **options) as step, RowWriter(near_path) as near_misses:
        places: list[int] = []
        web = web_texts(step, (args.web_question_key, args.web_analysis_key), places)
        rule = args.normalizer, args.matcher, args.scorer, args.score_cutoff
        matches = match_all(high_quality, web, *rule, num_workers=args.num_workers)
        scores = write_pairs(step, matches, places, near_misses, args.near_misses)
        measure = "distance" if args.matcher == "paper" else "similarity"
        step.facts["scores"] = {measure: {str(score): count for score, count in sorted(scores.items())}}
        if bad:
            step.counts["bad clean rows"] = bad
    for score, count in sorted(scores.items()):
        print(f"{measure} {score}: {count:,} pair{'s' * (count != 1)}")


if __name__ == "__main__":
    run_main(main)
