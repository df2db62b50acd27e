"""Keep the rows whose instruction helps most: the highest IFD below 1.

    python superfiltering/step3_select.py --json_data_path alpaca_with_ifd.json --json_save_path alpaca_10.json \
        --sample_rate 0.1

in   the rows of step 2
out  the best `sample_rate` of them, highest score first
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue
from common.program import make_parser, run_main
from common.rows import scan_rows, write_rows
from common.step import Step, add_step_arguments, need, step_options
from superfiltering.selection import random_rows, select


def score_of(row: dict, key: str) -> float | None:
    score = row.get(key)
    if key not in row or not isinstance(score, int | float | None):
        raise BadValue(f"no number in {key!r}; run step 2, or name another --key_name")
    return score


def length_of(row: dict) -> int:
    """Characters of all answers: what a selection by length alone goes by."""
    if isinstance(row.get("output"), str):
        return len(row["output"])
    turns = row.get("messages") or row.get("conversations") or []
    return sum(
        len(turn.get("content") or turn.get("value") or "")
        for turn in turns
        if turn.get("role", turn.get("from")) in ("assistant", "gpt")
    )


def write_chosen(data_path: str, save_path: str, chosen: list[int], split: str | None = None) -> int:
    return write_rows(save_path, rows_at(data_path, chosen, split), allow_nan=True)


def rows_at(data_path: str, chosen: list[int], split: str | None) -> list[dict]:
    """The rows at those places, in that order; only they are held in memory."""
    wanted = set(chosen)
    rows = {n: row for n, row in enumerate(scan_rows(data_path, split, allow_nan=True)) if n in wanted}
    return [rows[index] for index in chosen]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--json_save_path", required=True, help="the rows to keep")
    group = parser.add_argument_group("selection")
    size = group.add_mutually_exclusive_group()
    size.add_argument("--sample_rate", type=float, default=0.1, help="share of all rows")
    size.add_argument("--sample_num", type=int, help="exact number of rows instead")
    group.add_argument("--key_name", default="ifd_ppl", help="score to rank by: ifd_ppl, ifd_loss")
    group.add_argument("--filter_threash", "--filter_thresh", type=float, default=1.0, help="keep scores below this")
    group.add_argument("--per_key", help="key of a group, e.g. source: keep each group's share of the rows")
    group.add_argument("--add_index", action="store_true", help='note each row\'s place in the data as "index"')
    group = parser.add_argument_group("baselines of the same size")
    group.add_argument("--random_baseline", metavar="PATH", help="also write as many rows drawn at random")
    group.add_argument("--length_baseline", metavar="PATH", help="also write as many rows with the longest answers")
    group.add_argument("--seed", type=int, default=0, help="of the random baseline")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.json_data_path], args.json_save_path, **step_options(args), allow_nan=True) as step:
        places, scores, lengths, groups = [], [], [], []
        for index, row in step.rows():
            try:
                score = score_of(row, args.key_name)
                group = str(need(row, args.per_key, object)) if args.per_key else ""
            except BadValue as why:
                step.reject(*step.bad_row(index, why, row))
                continue
            places.append(index)
            scores.append(score)
            lengths.append(length_of(row))
            groups.append(group)

        def write(path: str, chosen: list[int]) -> None:
            write_chosen(args.json_data_path, path, [places[at] for at in chosen], args.split)

        count = int(len(scores) * args.sample_rate) if args.sample_num is None else args.sample_num
        chosen = select(scores, count, args.filter_threash, groups if args.per_key else None)
        if args.sample_num is not None and len(chosen) < count:
            raise BadInput(
                f"{args.json_data_path}: {count:,} rows wanted, {len(chosen):,} have {args.key_name} < "
                f"{args.filter_threash:g}"
            )
        kept = [places[at] for at in chosen]
        for index, row in zip(kept, rows_at(args.json_data_path, kept, args.split), strict=True):
            step.write(row | {"index": index} if args.add_index else row)
        not_kept = len(scores) - len(chosen)
        step.counts.update({"kept": len(chosen), "not kept": not_kept, "done": not_kept})
        if args.random_baseline:
            write(args.random_baseline, random_rows(len(scores), len(chosen), args.seed))
        if args.length_baseline:
            longest = sorted(range(len(lengths)), key=lambda index: -lengths[index])[: len(chosen)]
            write(args.length_baseline, longest)


if __name__ == "__main__":
    run_main(main)
