"""How far two scorers agree: the weak-to-strong consistency table of the paper, for any two models.

    python superfiltering/compare_scores.py --first alpaca_gpt2.json --second alpaca_llama.json

in   the same rows with the scores of two models, both from step 2
out  Spearman's rho of the scores, and what the two selections share at 5, 10 and 15 %; two baselines beside them
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import read_rows, write_text
from superfiltering.selection import Scores, overlap, random_rows, select, shared, spearman

KEYS = ("ppl_A_direct", "ppl_A_condition", "ifd_ppl", "ifd_loss")


def agreement(first: dict[str, Scores], second: dict[str, Scores], key: str, rates: list[float], below: float) -> dict:
    total = len(first[key])
    table = []
    for rate in rates:
        count = int(total * rate)
        ours, theirs = select(first[key], count, below), select(second[key], count, below)
        chance = random_rows(total, count, seed=0)
        table.append(
            {
                "rate": rate,
                "rows": count,
                "shared": shared(ours, theirs),
                "jaccard": overlap(ours, theirs),
                "shared_with_random": shared(chance, theirs),
            }
        )
    correlations = {name: spearman(first[name], second[name]) for name in first if name in second}
    return {"rows": total, "spearman": correlations, "selections": table}


def read_scores(path: str, split: str | None) -> dict[str, list]:
    """The columns that are there; where a row lacks one of them, None."""
    columns: dict[str, list] = {key: [] for key in KEYS}
    seen = set()
    for row in read_rows(path, split, allow_nan=True):
        seen |= row.keys() & columns.keys()
        for key, column in columns.items():
            column.append(row.get(key))
    return {key: column for key, column in columns.items() if key in seen}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--first", required=True, help="rows with the weak scorer's scores")
    parser.add_argument("--second", required=True, help="the same rows with the strong scorer's")
    parser.add_argument("--key_name", default="ifd_ppl", choices=KEYS, help="score to select by")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05, 0.1, 0.15], help="")
    parser.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    parser.add_argument("--save_path", help="also write the table as JSON")
    parser.add_argument("--split", help="split to read of dataset folders")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    first, second = read_scores(args.first, args.split), read_scores(args.second, args.split)
    for path, columns in ((args.first, first), (args.second, second)):
        if args.key_name not in columns:
            raise BadInput(f"{path}: no row has {args.key_name!r}; run step 2")
    if len(first[args.key_name]) != len(second[args.key_name]):
        raise BadInput(f"{args.first} and {args.second} do not hold the same rows")
    found = agreement(first, second, args.key_name, args.rates, args.filter_threash)
    print(f"{found['rows']:,} rows")
    for key, rho in found["spearman"].items():
        print(f"Spearman, {key:16} {rho:.3f}")
    for line in found["selections"]:
        print(
            f"best {line['rate']:4.0%} by {args.key_name}: {line['shared']:.2f} shared, Jaccard {line['jaccard']:.2f} "
            f"(random: {line['shared_with_random']:.2f} shared)"
        )
    if args.save_path:
        write_text(Path(args.save_path), json.dumps(found, indent=1) + "\n")
        print(f"{args.save_path}: written", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
