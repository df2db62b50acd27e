"""What a selection keeps and drops: one HTML page to look at before training on it.

    python superfiltering/report_selection.py --json_data_path alpaca_with_ifd.json --save_path report.html

in   the rows of step 2, and the arguments of step 3; with --other_path, the same rows scored by another model
out  counts with reasons, the distribution of IFD and of answer lengths for kept and dropped rows, overlap with random,
     longest and the other model's selection, and the rows at the extremes
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue
from common.program import make_parser, run_main
from common.report import Stage, funnel, histogram, samples, section, table, tiles, write_report
from common.rows import read_rows
from superfiltering.compare_scores import KEYS, agreement, read_scores
from superfiltering.selection import best_first, overlap, random_rows, select
from superfiltering.step3_select import length_of, score_of

SHOWN = 5  # rows of each kind


def why_not(score: float | None, below: float) -> str | None:
    if score is None or score != score:
        return "no score"
    return None if score < below else f"{below:g} or above: the prompt does not help"


def card(row: dict, key: str) -> dict[str, str]:
    question = "\n".join(filter(None, [row.get("instruction"), row.get("input")]))
    shown = {"prompt": question, "answer": row["output"]} if "output" in row else {"row": str(row)}
    return {f"#{key}": f"{row[key]:.3f}" if row[key] is not None else "none"} | shown


def agreement_with_other(args: argparse.Namespace) -> str:
    first, second = (read_scores(path, args.split) for path in (args.json_data_path, args.other_path))
    if args.key_name not in second or len(first[args.key_name]) != len(second[args.key_name]):
        raise BadInput(f"{args.other_path}: not the same rows with {args.key_name!r}")
    found = agreement(first, second, args.key_name, [0.05, 0.1, 0.15], args.filter_threash)
    rhos = table(["score", "Spearman"], [[key, round(rho, 3)] for key, rho in found["spearman"].items()])
    parts = [
        [
            f"{line['rate']:.0%}",
            round(line["shared"], 2),
            round(line["jaccard"], 2),
            round(line["shared_with_random"], 2),
        ]
        for line in found["selections"]
    ]
    header = ["best", "shared", "Jaccard", "a random part shares"]
    return section("Agreement with the other scorer", rhos, table(header, parts), note=args.other_path)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--save_path", required=True, help="the page (.html)")
    parser.add_argument("--sample_rate", type=float, default=0.1, help="share of all rows")
    parser.add_argument("--sample_num", type=int, help="exact number of rows instead")
    parser.add_argument("--key_name", default="ifd_ppl", choices=KEYS, help="score to rank by")
    parser.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    parser.add_argument("--other_path", help="the same rows with another model's scores")
    parser.add_argument("--split", help="split to read of a dataset folder")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows = list(read_rows(args.json_data_path, args.split, allow_nan=True))
    key, below = args.key_name, args.filter_threash
    try:
        scores, lengths = [score_of(row, key) for row in rows], [length_of(row) for row in rows]
    except BadValue as why:
        raise BadInput(f"{args.json_data_path}: {why.reason}") from None
    ranked = best_first(scores, below)
    kept = select(scores, int(len(rows) * args.sample_rate) if args.sample_num is None else args.sample_num, below)
    reasons = Counter(reason for score in scores if (reason := why_not(score, below)))
    chosen = set(kept)
    dropped = [index for index in range(len(rows)) if index not in chosen]
    longest = sorted(range(len(rows)), key=lambda index: -lengths[index])[: len(kept)]
    chance = random_rows(len(rows), len(kept), seed=0)
    finite = [score for score in scores if score is not None and score == score]
    above = sorted(
        (i for i, score in enumerate(scores) if why_not(score, below) and score == score and score is not None),
        key=lambda index: -scores[index],
    )
    sections = [
        section(
            "Counts",
            tiles({"rows": f"{len(rows):,}", "kept": f"{len(kept):,}", "lowest score kept": f"{scores[kept[-1]]:.3f}"})
            if kept
            else tiles({"rows": f"{len(rows):,}", "kept": "0"}),
            funnel(
                [
                    Stage("rows", len(rows)),
                    Stage(f"score below {below:g}", len(ranked), reasons),
                    Stage(
                        "kept", len(kept), {"lower score": len(ranked) - len(kept)} if len(ranked) > len(kept) else {}
                    ),
                ]
            ),
        ),
        section(
            "Scores",
            histogram(f"{key}, all rows", finite, ""),
            histogram(f"{key}, kept", [scores[index] for index in kept], ""),
        ),
        section(
            "Answer lengths",
            histogram("kept", [lengths[index] for index in kept], "characters"),
            histogram("dropped", [lengths[index] for index in dropped], "characters"),
            table(
                ["selection of the same size", "Jaccard with this one", "mean answer length"],
                [
                    [name, round(overlap(kept, other), 3), round(sum(lengths[i] for i in other) / max(1, len(other)))]
                    for name, other in (("this one", kept), ("random", chance), ("longest answers", longest))
                ],
            ),
            note="Long answers tend to have a high IFD: the last row says how much length alone explains.",
        ),
        *([agreement_with_other(args)] if args.other_path else []),
        section("Highest scores kept", samples(card(rows[index], key) for index in kept[:SHOWN])),
        section(
            "Lowest scores", samples(card(rows[index], key) for index in ranked[::-1][:SHOWN] if index not in chosen)
        ),
        section(
            f"Highest scores, dropped for being {below:g} or above", samples(card(rows[i], key) for i in above[:SHOWN])
        ),
    ]
    write_report(args.save_path, "Superfiltering", f"{len(kept):,} of {len(rows):,} rows by {key}", sections)
    print(f"{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
