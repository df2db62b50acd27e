"""How far two scorers agree: the weak-to-strong consistency table of the paper, for any two models.

    python superfiltering/compare_scores.py --first alpaca_gpt2.json --second alpaca_llama.json

in   the same rows with the scores of two models, both from step 2
out  Spearman's rho of the scores, and what the two selections share at 5, 10 and 15 %; two baselines beside them
     with --save_path as json: {"rows": 52002, "spearman": {"ifd_ppl": 0.68}, "selections": [{"rate": 0.05, ...}]}
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, run_main
from common.rows import input_files, refuse_overlap, write_text
from superfiltering.agreement import KEYS, RATES, agreement, as_text, read_scores


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--first", required=True, help="rows with the weak scorer's scores")
    parser.add_argument("--second", required=True, help="the same rows with the strong scorer's")
    parser.add_argument("--key_name", default="ifd_ppl", choices=KEYS, help="score to select by")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="shares of the rows to select")
    parser.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    parser.add_argument("--save_path", help="also write the table as JSON")
    parser.add_argument("--split", help="split to read of dataset folders")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.save_path:
        refuse_overlap([*input_files(args.first), *input_files(args.second)], [args.save_path])
    first, second = (read_scores(path, args.split, args.key_name) for path in (args.first, args.second))
    found = agreement(first, second, args.key_name, args.rates, args.filter_threash)
    print(f"{found['rows']:,} rows")
    for key, rho in found["spearman"].items():
        print(f"Spearman, {key:16} {as_text(rho)}")
    for line in found["selections"]:
        print(
            f"best {line['rate']:4.0%} by {args.key_name}: {line['shared']:.2f} shared, Jaccard {line['jaccard']:.2f} "
            f"(random: {line['shared_with_random']:.2f} shared)"
        )
    if args.save_path:
        Path(args.save_path).parent.mkdir(parents=True, exist_ok=True)
        write_text(Path(args.save_path), json.dumps(found, indent=1) + "\n")
        print(f"{args.save_path}: written", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
