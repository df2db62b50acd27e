"""Put the scores of step 1 beside the rows they belong to.

    python superfiltering/step2_attach_scores.py --pt_data_path scores.jsonl --json_data_path alpaca.json \
        --json_save_path alpaca_with_ifd.json

in   the lines of step 1, and the data they were made from
out  the rows, each with "ppl_A_direct" (answer alone), "ppl_A_condition" (behind its prompt) and their ratio "ifd_ppl";
     all three null where step 1 gave no score; "ifd_scored_with" where it was told to score otherwise than released
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue
from common.program import make_parser, run_main
from common.rows import read_rows
from common.step import Step, add_step_arguments, step_options


def attached(line: dict, paper_exact: bool) -> dict:
    """The keys that a line of step 1 gives to its row."""
    nothing = math.nan if paper_exact else None
    if "ppl" not in line:
        return {"ppl_A_direct": nothing, "ppl_A_condition": nothing, "ifd_ppl": nothing}
    direct, conditioned = line["ppl"][1], line["ppl"][3]
    # A 0 is the released code's mark of a failure: a score for the paper, none for us.
    ifd = conditioned / direct if direct else (0 if paper_exact else nothing)
    values = {"ppl_A_direct": direct, "ppl_A_condition": conditioned, "ifd_ppl": ifd}
    if paper_exact:
        return values
    named = {"ifd_scored_with": line["scored_with"]} if "scored_with" in line else {}
    return {key: finite(value) for key, value in values.items()} | named


def loss_ratio(line: dict) -> dict:
    """Cherry's IFD: the ratio of the losses, not of the perplexities. The two order rows differently."""
    direct, conditioned = line.get("loss", [0, 0, 0, 0])[1::2]
    return {"ifd_loss": finite(conditioned / direct) if direct else None}


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def lines_by_row(path: str) -> Iterator[tuple[int, dict]]:
    """(index, line): the released format carries no index, its lines count themselves."""
    for number, line in enumerate(read_rows(path, allow_nan=True)):
        index, ppl = line.get("index", number), line.get("ppl", [0, 0, 0, 0])
        if not isinstance(index, int) or not _four_numbers(ppl) or not _four_numbers(line.get("loss", ppl)):
            raise BadInput(f"{path}, row {number}: not a line of step 1, which holds four numbers in 'ppl' and 'loss'")
        yield index, line


def _four_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(isinstance(number, int | float) for number in value)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--pt_data_path", required=True, help="scores of step 1")
    parser.add_argument("--json_data_path", required=True, help="the data they were made from")
    parser.add_argument("--json_save_path", required=True, help="the data with scores")
    parser.add_argument("--loss_ratio", action="store_true", help="also attach ifd_loss, the ratio that Cherry uses")
    parser.add_argument("--paper_exact", action="store_true", help="NaN and 0 for missing scores, as released")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    inputs = [args.json_data_path, args.pt_data_path]
    with Step(inputs, args.json_save_path, **step_options(args), allow_nan=args.paper_exact) as step:
        lines = lines_by_row(args.pt_data_path)
        at, line = next(lines, (None, None))
        for index, row in step.rows():
            if at is None or at > index:  # step 1 set it aside
                step.reject(*step.bad_row(index, BadValue(f"no score in {args.pt_data_path}; not its scores?"), row))
                continue
            if at < index:
                raise BadInput(f"{args.pt_data_path}: a score for row {at}, which {args.json_data_path} does not have")
            scores = attached(line, args.paper_exact)
            step.counts["without a score"] += finite(scores["ifd_ppl"]) is None
            step.write(row | scores | (loss_ratio(line) if args.loss_ratio else {}))
            at, line = next(lines, (None, None))
        if at is not None:
            raise BadInput(f"{args.pt_data_path}: a score for row {at}, which {args.json_data_path} does not have")


if __name__ == "__main__":
    run_main(main)
