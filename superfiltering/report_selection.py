"""What a selection keeps and drops: one HTML page to look at before training on it.

    python superfiltering/report_selection.py --json_data_path alpaca_with_ifd.json --save_path report.html

in   the rows of step 2, and the arguments of step 3; with --other_path, the same rows scored by another model
out  counts with reasons, the distribution of IFD and of answer lengths for kept and dropped rows, overlap with random,
     longest and the other model's selection, and the rows at the extremes
"""

import argparse
import math
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue
from common.program import make_parser, run_main
from common.report import Stage, funnel, histogram, samples, section, table, tiles, write_report
from common.rows import input_files, read_rows, refuse_overlap
from superfiltering.agreement import KEYS, RATES, agreement, as_text, read_scores
from superfiltering.selection import (
    best_first,
    length_of,
    longest_rows,
    overlap,
    random_rows,
    rows_in_order,
    score_of,
    select,
)


def read_facts(path: str, split: str | None, key: str) -> tuple[array, array]:
    """Score and answer length of every row."""
    scores, lengths = array("d"), array("q")
    for number, row in enumerate(read_rows(path, split, allow_nan=True)):
        try:
            scores.append(score_of(row, key))
        except BadValue as why:
            raise BadInput(f"{path}, row {number}: {why.reason}") from None
        lengths.append(length_of(row))
    return scores, lengths


def why_not(score: float, below: float) -> str | None:
    if math.isnan(score):
        return "no score"
    return None if score < below else f"{below:g} or above: the prompt does not help"


def counts_section(scores: Sequence[float], kept: list[int], usable: int, below: float) -> str:
    facts = {"rows": f"{len(scores):,}", "kept": f"{len(kept):,}"}
    if kept:
        facts["lowest score kept"] = f"{scores[kept[-1]]:.3f}"
    reasons = Counter(reason for score in scores if (reason := why_not(score, below)))
    lower = {"lower score": usable - len(kept)} if usable > len(kept) else {}
    stages = [
        Stage("rows", len(scores)),
        Stage(f"score below {below:g}", usable, reasons),
        Stage("kept", len(kept), lower),
    ]
    return section("Counts", tiles(facts), funnel(stages))


def distributions(scores: Sequence[float], lengths: Sequence[int], kept: list[int], key: str) -> list[str]:
    chosen = set(kept)
    groups = {"kept": kept, "dropped": [index for index in range(len(scores)) if index not in chosen]}
    finite = {name: [scores[i] for i in rows if math.isfinite(scores[i])] for name, rows in groups.items()}
    long = {name: [lengths[index] for index in rows] for name, rows in groups.items()}
    others = {
        "this one": kept,
        "random": random_rows(len(scores), len(kept), seed=0),
        "longest answers": longest_rows(lengths, len(kept)),
    }
    rows = [
        [name, round(overlap(kept, other), 3), round(sum(lengths[i] for i in other) / max(1, len(other)))]
        for name, other in others.items()
    ]
    beside = table(["selection of the same size", "Jaccard with this one", "mean answer length"], rows)
    note = "Long answers tend to have a high IFD: the last row says how much length alone explains."
    return [
        section("Scores", histogram(key, finite, "")),
        section("Answer lengths", histogram("answer", long, "characters"), beside, note=note),
    ]


def agreement_section(args: argparse.Namespace) -> str:
    first, second = (read_scores(path, args.split, args.key_name) for path in (args.json_data_path, args.other_path))
    found = agreement(first, second, args.key_name, RATES, args.filter_threash)
    rhos = table(["score", "Spearman"], [[key, as_text(rho)] for key, rho in found["spearman"].items()])
    columns = ("shared", "jaccard", "shared_with_random")
    parts = [[f"{line['rate']:.0%}", *(round(line[name], 2) for name in columns)] for line in found["selections"]]
    shares = table(["best", "shared", "Jaccard", "a random part shares"], parts)
    return section("Agreement with the other scorer", rhos, shares, note=args.other_path)


def extremes(args: argparse.Namespace, scores: Sequence[float], ranked: list[int], kept: list[int]) -> list[str]:
    chosen = set(kept)
    above = sorted((i for i, score in enumerate(scores) if score >= args.filter_threash), key=lambda i: -scores[i])
    parts = {
        "Highest scores kept": kept[: args.shown],
        "Lowest scores": [index for index in ranked[::-1][: args.shown] if index not in chosen],
        f"Highest scores, dropped for being {args.filter_threash:g} or above": above[: args.shown],
    }
    shown = {index for indices in parts.values() for index in indices}
    rows = dict(zip(sorted(shown), rows_in_order(args.json_data_path, sorted(shown), args.split), strict=True))
    return [
        section(heading, samples(card(rows[index], args.key_name) for index in indices))
        for heading, indices in parts.items()
    ]


def card(row: dict, key: str) -> dict[str, str]:
    question = "\n".join(str(text) for text in (row.get("instruction"), row.get("input")) if text)
    shown = {"prompt": question, "answer": str(row["output"])} if "output" in row else {"row": str(row)}
    return {f"#{key}": f"{row[key]:.3f}"} | shown


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--save_path", required=True, help="the page (.html)")
    parser.add_argument("--sample_rate", type=float, default=0.1, help="share of all rows")
    parser.add_argument("--sample_num", type=int, help="exact number of rows instead")
    parser.add_argument("--key_name", default="ifd_ppl", choices=KEYS, help="score to rank by")
    parser.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    parser.add_argument("--other_path", help="the same rows with another model's scores")
    parser.add_argument("--shown", type=int, default=5, help="rows shown of each kind")
    parser.add_argument("--split", help="split to read of a dataset folder")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    inputs = [args.json_data_path, *([args.other_path] if args.other_path else [])]
    refuse_overlap([file for path in inputs for file in input_files(path)], [args.save_path])
    scores, lengths = read_facts(args.json_data_path, args.split, args.key_name)
    ranked = best_first(scores, args.filter_threash)
    count = int(len(scores) * args.sample_rate) if args.sample_num is None else args.sample_num
    kept = select(scores, count, args.filter_threash)
    sections = [
        counts_section(scores, kept, len(ranked), args.filter_threash),
        *distributions(scores, lengths, kept, args.key_name),
        *([agreement_section(args)] if args.other_path else []),
        *extremes(args, scores, ranked, kept),
    ]
    subtitle = f"{len(kept):,} of {len(scores):,} rows by {args.key_name}"
    write_report(args.save_path, "Superfiltering", subtitle, sections)
    print(f"{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
