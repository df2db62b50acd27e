"""Keep the rows whose instruction helps most: the highest IFD below 1.

    python superfiltering/step3_select.py --json_data_path alpaca_with_ifd.json --json_save_path alpaca_10.json \
        --sample_rate 0.1

in   the rows of step 2: {"instruction": "...", "input": "...", "output": "...", "ifd_ppl": 0.93}
out  the best `sample_rate` of them, highest score first
"""

import argparse
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import write_rows
from common.step import Step, add_step_arguments, need, step_options
from superfiltering.selection import length_of, longest_rows, random_rows, rows_in_order, score_of, select


def number_to_keep(args: argparse.Namespace, total: int) -> int:
    if args.sample_num is not None:
        return args.sample_num
    return int((args.rate_of or total) * args.sample_rate)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--json_save_path", required=True, help="the rows to keep")
    group = parser.add_argument_group("selection")
    size = group.add_mutually_exclusive_group()
    size.add_argument("--sample_rate", type=float, default=0.1, help="share of all rows")
    size.add_argument("--sample_num", type=int, help="exact number of rows instead")
    group.add_argument(
        "--rate_of", type=int, metavar="N", help="rows that the rate is of, as released 52002 (those here)"
    )
    group.add_argument("--key_name", default="ifd_ppl", help="score to rank by: ifd_ppl, ifd_loss")
    group.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    group.add_argument("--per_key", help="key of a group, e.g. source: keep each group's share of the rows")
    group.add_argument("--add_index", action="store_true", help='note each row\'s place in the data as "index"')
    group.add_argument("--paper_exact", action="store_true", help="a score that is a text is none, not a bad row")
    group = parser.add_argument_group("baselines of the same size")
    group.add_argument("--random_baseline", metavar="PATH", help="also write as many rows drawn at random")
    group.add_argument("--length_baseline", metavar="PATH", help="also write as many rows with the longest answers")
    group.add_argument("--seed", type=int, default=0, help="of the random baseline")
    add_step_arguments(parser)
    return parser.parse_args()


def write_baselines(
    args: argparse.Namespace, lengths: Sequence[int], count: int, rows_of: Callable[[list[int]], list[dict]]
) -> None:
    """As many rows at random, and as many of the longest: what any selection must beat."""
    if args.random_baseline:
        write_rows(args.random_baseline, rows_of(random_rows(len(lengths), count, args.seed)), allow_nan=True)
    if args.length_baseline:
        write_rows(args.length_baseline, rows_of(longest_rows(lengths, count)), allow_nan=True)


def main() -> None:
    args = parse_args()
    baselines = [path for path in (args.random_baseline, args.length_baseline) if path]
    options = step_options(args) | {"allow_nan": True, "writes": baselines}
    with Step([args.json_data_path], args.json_save_path, **options) as step:
        places, scores, lengths, groups = array("q"), array("d"), array("q"), []

        def facts_of(row: dict) -> tuple[float, str]:
            group = need(row, args.per_key, object) if args.per_key else ""
            return score_of(row, args.key_name, args.paper_exact), group

        for place, row, (score, group) in step.values(facts_of):
            places.append(place)
            scores.append(score)
            lengths.append(length_of(row))
            groups.append(str(group))
        count = number_to_keep(args, len(scores))
        chosen = select(scores, count, args.filter_threash, groups if args.per_key else None)
        if args.sample_num is not None and len(chosen) < count:
            few = f"{count:,} rows wanted, {len(chosen):,} have {args.key_name} < {args.filter_threash:g}"
            raise BadInput(f"{args.json_data_path}: {few}")

        def rows_of(indices: list[int]) -> list[dict]:
            return rows_in_order(args.json_data_path, [places[index] for index in indices], args.split)

        for index, row in zip(chosen, rows_of(chosen), strict=True):
            step.write(row | {"index": places[index]} if args.add_index else row)
        not_kept = len(scores) - len(chosen)
        step.counts.update({"kept": len(chosen), "not kept": not_kept, "done": not_kept})
        write_baselines(args, lengths, len(chosen), rows_of)


if __name__ == "__main__":
    run_main(main)
