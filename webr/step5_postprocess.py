"""WebR step 5: refusals, faults and near-duplicates out, two WI for one WR, as training data.

    python webr/step5_postprocess.py --WI_data_paths out/refined.jsonl --WR_data_paths out/refined.jsonl \\
        --tokenizer_model_name meta-llama/Meta-Llama-3-8B-Instruct --save_num 100000 --save_name out/webr/webr

in   rows of step 4: {"webpage": "...", "request": "...", "response": "...", "kind": "WI_all", ...}; a row with a "kind"
     counts on its side only, so one file may be given twice
out  out/webr/webr.jsonl and .parquet, shuffled: {"prompt_id": "...", "messages": [{"role": "user", "content": "..."},
     {"role": "assistant", "content": "..."}]}; beside them a dataset card (README.md) and dataset_info.json for
     LLaMA-Factory; every other row is in out/webr/webr.jsonl.rejected.jsonl with the reason
"""

import argparse
import json
import random
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow, CommonError
from common.languages import UNKNOWN
from common.program import make_parser, run_main
from common.rows import read_rows, scan_rows, write_rows
from common.step import Step, add_step_arguments, step_options
from webr.dataset_card import write_card, write_dataset_info
from webr.guards import Limits
from webr.history import pages_behind
from webr.near_duplicates import find_near_duplicates, word_ids
from webr.sections import sizes
from webr.training_rows import SIDES, digest, fault_of, problem_of, to_training_row

RELEASED = {"WI": 66_666, "WR": 33_333}  # the released code takes no more, whatever it is asked for
TOKENIZED_AT_ONCE = 1000


class Rows:
    """The rows of all files, numbered in reading order: what becomes of each is in memory, the rows are in a file."""

    def __init__(self) -> None:
        self.sides: list[str] = []
        self.reasons: dict[int, str] = {}
        self.repeats: dict[int, int] = {}
        self._file = tempfile.TemporaryFile()
        self._places = array("q")

    def add(self, row: dict, side: str) -> int:
        self._places.append(self._file.seek(0, 2))
        self._file.write(json.dumps(row, default=str).encode() + b"\n")
        self.sides.append(side)
        return len(self.sides) - 1

    def __getitem__(self, index: int) -> dict:
        self._file.seek(self._places[index])
        return json.loads(self._file.readline())

    def left(self, side: str | None = None) -> list[int]:
        return [n for n, its in enumerate(self.sides) if n not in self.reasons and side in (None, its)]

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_all(step: Step, args: argparse.Namespace, limits: Limits | None, rows: Rows) -> None:
    """Each row once, with the reason if it will not do."""
    wanted = {side for side, paths in (("WI", args.WI_data_paths), ("WR", args.WR_data_paths)) if paths}
    for path in step.inputs:
        side = "WI" if path in args.WI_data_paths else "WR"
        for index, row in enumerate(scan_rows(path, args.split)):
            step.counts["in"] += 1
            if not isinstance(row, BadRow) and (problem := problem_of(row)):
                row = BadRow(path, index, problem, json.dumps(row, default=str)[:2000])
            if isinstance(row, BadRow):
                number = len(rows.sides)
                _, rows.reasons[number], raw = step.bad_row(number, row, row)
                rows.add({"raw": raw}, side)
                continue
            its_side = row.get("kind", side)[:2]
            number = rows.add(row, its_side)
            if its_side not in wanted:
                rows.reasons[number] = f"{its_side}, but no --{its_side}_data_paths"
            elif reason := fault_of(row, its_side, limits):
                rows.reasons[number] = reason
    if not rows.sides:
        raise BadInput(f"{', '.join(step.inputs)}: no rows")


def reject_near_duplicates(rows: Rows, numbers: list[int], args: argparse.Namespace) -> None:
    requests = (rows[number]["request"] for number in numbers)
    found = find_near_duplicates(
        token_ids(requests, args.tokenizer_model_name), args.threshold, args.num_perm, as_released=args.paper_exact
    )
    for number, repeated in zip(numbers, found.tolist(), strict=True):
        if repeated >= 0:
            rows.reasons[number] = "near-duplicate request"
            rows.repeats[number] = numbers[repeated]


def token_ids(texts: Iterator[str], tokenizer_name: str | None) -> Iterator[Sequence[int]]:
    if tokenizer_name is None:
        yield from map(word_ids, texts)
        return
    from transformers import AutoTokenizer  # takes seconds, and runs on words do not need it

    try:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)
    except (OSError, ValueError) as error:
        raise CommonError(f"--tokenizer_model_name {tokenizer_name}: cannot be loaded: {error}") from error
    while some := list(islice(texts, TOKENIZED_AT_ONCE)):
        yield from tokenizer(some)["input_ids"]


def reject_pages_used_twice(rows: Rows) -> None:
    """A page that is part of an instruction is not the source of a response as well."""
    user = {digest(rows[number]["webpage"])[:16]: number for number in reversed(rows.left("WI"))}
    for number in rows.left("WR"):
        first = user.get(digest(rows[number]["webpage"])[:16])
        if first is not None:
            rows.reasons[number], rows.repeats[number] = "page is used as an instruction", first


def choose(rows: Rows, args: argparse.Namespace) -> list[int]:
    """The accepted rows in the order of the output."""
    random_order = random.Random(args.draw_seed)
    sides = {side: rows.left(side) for side in SIDES}
    for numbers in sides.values():
        random_order.shuffle(numbers)
    if args.paper_exact:
        return [number for side in SIDES for number in sides[side][: RELEASED[side]]][: args.save_num]
    wanted = shares(args, {side: len(numbers) for side, numbers in sides.items()})
    chosen = [number for side in SIDES for number in sides[side][: wanted[side]]]
    random_order.shuffle(chosen)
    return chosen


def shares(args: argparse.Namespace, accepted: dict[str, int]) -> dict[str, int]:
    """How many rows of each side: as many as the ratio lets, or exactly --save_num of them."""
    if args.ratio is None and (args.save_num is None or not any(accepted.values())):
        return accepted
    ratio = args.ratio or [accepted["WI"], accepted["WR"]]
    if args.save_num is not None:
        return dict(zip(SIDES, sizes(args.save_num, ratio), strict=True))
    whole = min(accepted[side] // part for side, part in zip(SIDES, ratio, strict=True) if part)
    return {side: whole * part for side, part in zip(SIDES, ratio, strict=True)}


def check_enough(step: Step, rows: Rows, pages: int, args: argparse.Namespace) -> None:
    """Say how many pages the wanted number takes; stop if there were too few."""
    accepted = {side: len(rows.left(side)) for side in SIDES}
    wanted = {side: number for side, number in shares(args, accepted).items() if number}
    short = [
        f"{number:,} {side} wanted, {accepted[side]:,} accepted"
        for side, number in wanted.items()
        if number > accepted[side]
    ]
    if not all(accepted[side] for side in wanted):
        raise CommonError(
            f"--save_num {args.save_num:,} cannot be reached with any number of such pages: {', '.join(short)}"
        )
    needed = max(-(-pages * number // accepted[side]) for side, number in wanted.items())
    message = f"{args.save_num:,} rows take about {needed:,} pages like these; there were {pages:,}"
    if short:
        raise CommonError(f"{message} ({', '.join(short)})")
    step.facts["pages_for_save_num"] = needed
    print(message, file=sys.stderr)


def most_frequent(rows: Rows) -> str:
    counted = Counter(rows.reasons.get(number, "ratio of WI to WR") for number in range(len(rows.sides)))
    return ", ".join(f"{count:,} {reason}" for reason, count in counted.most_common(3))


def write_all(step: Step, args: argparse.Namespace, rows: Rows, chosen: list[int]) -> None:
    taken = set(chosen)
    for number, side in enumerate(rows.sides):
        if number not in taken:
            more = {"side": side}
            if number in rows.repeats:
                more |= {"repeats": rows.repeats[number], "repeated_request": rows[rows.repeats[number]]["request"]}
            step.reject(number, rows.reasons.get(number, "not needed"), rows[number] | more)
    kinds, languages = Counter(), Counter()
    for number in chosen:
        row, side = rows[number], rows.sides[number]
        step.write(to_training_row(row, side, args.draw_seed, args.paper_exact))
        step.counts[f"{side} rows"] += 1
        kinds[row.get("kind", side)] += 1
        languages[row.get("lang") or UNKNOWN] += 1
    step.facts |= {"kinds": dict(sorted(kinds.items())), "languages": dict(sorted(languages.items()))}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--WI_data_paths", nargs="+", default=[], help="files with rows of web as instruction")
    parser.add_argument("--WR_data_paths", nargs="+", default=[], help="files with rows of web as response")
    parser.add_argument("--save_name", required=True, help="path of the output without ending; .jsonl is added")
    group = parser.add_argument_group("size")
    group.add_argument("--save_num", type=int, help="exactly so many rows, or stop and say how many pages it takes")
    group.add_argument("--ratio", type=parse_ratio, default=[2, 1], help="WI:WR, or any: all of both")
    group.add_argument("--draw_seed", type=int, default=0, help="of order and shuffle")
    group = parser.add_argument_group("near-duplicate requests")
    group.add_argument("--tokenizer_model_name", help="tokenizer of the model to train (default: words, no tokenizer)")
    group.add_argument("--threshold", type=float, default=0.7, help="Jaccard similarity")
    group.add_argument("--num_perm", type=int, default=128, help="permutations")
    group.add_argument("--across", action="store_true", help="WI and WR together instead of each for itself")
    guards = parser.add_argument_group("guards")
    off = Limits()
    guards.add_argument("--any_language", action="store_true", help="let a text in another language than its page pass")
    guards.add_argument(
        "--max_copied",
        type=float,
        default=off.max_copied,
        help="largest share of a response copied from the page, by 8-grams; 1: off",
    )
    for name in ("min_request_chars", "min_response_chars", "max_response_chars"):
        guards.add_argument(f"--{name}", type=int, default=getattr(off, name), help="0: off")
    guards.add_argument("--keep_refusals", action="store_true", help="keep responses that refuse")
    guards.add_argument("--paper_exact", action="store_true", help="filter, near-duplicates and sizes as released")
    add_step_arguments(parser)
    args = parser.parse_args()
    if not args.WI_data_paths + args.WR_data_paths:
        parser.error("give --WI_data_paths, --WR_data_paths or both")
    if args.save_num is not None and args.save_num < 1:
        parser.error("--save_num: at least 1")
    if not 0 < args.threshold <= 1 or args.num_perm < 1:
        parser.error("--threshold lies above 0 and up to 1, --num_perm is at least 1")
    if args.ratio and not (args.WI_data_paths and args.WR_data_paths):
        args.ratio = None  # one side alone has no ratio
    return args


def parse_ratio(text: str) -> list[int] | None:
    if text == "any":
        return None
    try:
        ratio = [int(part) for part in text.split(":")]
    except ValueError:
        ratio = []
    if len(ratio) != 2 or min(ratio) < 0 or not any(ratio):
        raise argparse.ArgumentTypeError(f"{text}: expected two numbers such as 2:1, or any")
    return ratio


def limits_of(args: argparse.Namespace) -> Limits | None:
    if args.paper_exact:
        return None
    lengths = (args.min_request_chars, args.min_response_chars, args.max_response_chars)
    return Limits(not args.any_language, args.max_copied, *lengths, keep_refusals=args.keep_refusals)


def main() -> None:
    args = parse_args()
    output = Path(args.save_name.removesuffix(".jsonl").removesuffix(".parquet") + ".jsonl")
    inputs = list(dict.fromkeys(args.WI_data_paths + args.WR_data_paths))
    with Step(inputs, output, **step_options(args)) as step, Rows() as rows:
        read_all(step, args, limits_of(args), rows)
        for numbers in [rows.left()] if args.across else [rows.left(side) for side in SIDES]:
            reject_near_duplicates(rows, numbers, args)
        reject_pages_used_twice(rows)
        if args.save_num is not None and not args.paper_exact:
            check_enough(step, rows, pages_behind(inputs, len(rows.sides)), args)
        chosen = choose(rows, args)
        if not chosen:
            raise CommonError(f"no row is left of {len(rows.sides):,}: {most_frequent(rows)}; nothing written")
        write_all(step, args, rows, chosen)
    write_rows(output.with_suffix(".parquet"), read_rows(output))
    write_dataset_info(output)
    write_card(output)


if __name__ == "__main__":
    run_main(main)
