"""WebR step 5: refusals, faults and near-duplicates out, two WI for one WR, as training data.

    python webr/step5_postprocess.py --WI_data_paths out/refined.jsonl --WR_data_paths out/refined.jsonl \\
        --tokenizer_model_name meta-llama/Meta-Llama-3-8B-Instruct --save_num 100000 --save_name out/webr/webr

in   rows of step 4: {"webpage": "...", "request": "...", "response": "...", "kind": "WI_all", ...}; a row with a "kind"
     counts on its side only, so one file may be given twice
out  out/webr/webr.jsonl and .parquet, shuffled: {"prompt_id": "...", "messages": [{"content": "...", "role": "user"},
     {"content": "...", "role": "assistant"}]}; beside them a dataset card (README.md) and dataset_info.json for
     LLaMA-Factory; every other row is in out/webr/webr.jsonl.rejected.jsonl with the reason
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.dataset_card import card_files, write_card
from common.errors import BadInput, BadRow, CommonError
from common.languages import UNKNOWN
from common.program import make_parser, run_main
from common.rows import read_rows, scan_rows, write_rows
from common.step import Step, add_step_arguments, step_options
from webr import selection
from webr.answers import add_guard_arguments, add_released_arguments, guards_of, released_points
from webr.guards import Guards
from webr.history import kept_refusals, pages_behind, result_of
from webr.training_rows import fault_of, problem_of, to_training_row


def read_all(step: Step, rows: selection.Rows, args: argparse.Namespace, guards: Guards | None) -> None:
    """Each row once, with the reason if it will not do."""
    wanted = {side for side, paths in (("WI", args.WI_data_paths), ("WR", args.WR_data_paths)) if paths}
    for path in step.inputs:
        side = "WI" if path in args.WI_data_paths else "WR"
        for index, row in enumerate(scan_rows(path, args.split)):
            step.counts["in"] += 1
            if not isinstance(row, BadRow) and (problem := problem_of(row)):
                row = BadRow(path, index, problem, json.dumps(row, default=str)[:2000])
            if isinstance(row, BadRow):
                _, reason, raw = step.bad_row(len(rows.sides), row, row)
                rows.reject(rows.add({"raw": raw}, side), reason)
                continue
            its_side = row.get("kind", side)[:2]
            number = rows.add(row, its_side)
            if its_side not in wanted:
                rows.reject(number, f"{its_side}, but no --{its_side}_data_paths")
            elif reason := fault_of(row, its_side, guards, released_points(args)):
                rows.reject(number, reason)
    if not rows.sides:
        raise BadInput(f"{', '.join(step.inputs)}: no rows")


def choose(step: Step, rows: selection.Rows, args: argparse.Namespace) -> tuple[list[int], dict[int, bool]]:
    """The accepted rows in the order of the output, and where the request of each goes first."""
    if "selection" in released_points(args):
        return selection.choose_as_released(rows, args.save_num, args.seed)
    selection.reject_pages_used_twice(rows)
    if args.save_num is not None:
        pages = pages_behind(step.inputs, len(rows.sides))
        needed = selection.pages_needed(rows, pages, args.save_num, args.ratio)
        step.facts["pages_for_save_num"] = needed
        print(selection.pages_message(args.save_num, needed, pages), file=sys.stderr)
    return selection.choose(rows, args.save_num, args.ratio, args.seed)


def write_all(
    step: Step, rows: selection.Rows, chosen: list[int], request_first: dict[int, bool], released: frozenset[str]
) -> None:
    taken = set(chosen)
    for number, side in enumerate(rows.sides):
        if number not in taken:
            more = {"side": side}
            if number in rows.repeats:
                more |= {"repeats": rows.repeats[number], "repeated_request": rows[rows.repeats[number]]["request"]}
            step.reject(number, rows.reasons.get(number, "not needed"), rows[number] | more)
    kinds, languages, sides = Counter(), Counter(), Counter(rows.sides[number] for number in chosen)
    for place, number in enumerate(chosen):
        row, side = rows[number], rows.sides[number]
        name = f"web_data_{place}" if "selection" in released else None
        step.write(to_training_row(row, side, request_first.get(number, True), name, released))
        kinds[row.get("kind", side)] += 1
        languages[row.get("lang") or UNKNOWN] += 1
    step.counts.update({f"{side} rows": count for side, count in sorted(sides.items())})
    step.facts |= {"kinds": dict(sorted(kinds.items())), "languages": dict(sorted(languages.items()))}
    step.facts["result"] = result_of(step.inputs, sides)


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


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--WI_data_paths", nargs="+", default=[], help="files with rows of web as instruction")
    parser.add_argument("--WR_data_paths", nargs="+", default=[], help="files with rows of web as response")
    parser.add_argument("--save_name", required=True, help="path of the output without ending; .jsonl is added")
    group = parser.add_argument_group("size")
    group.add_argument("--save_num", type=int, help="exactly so many rows, or stop and say how many pages it takes")
    group.add_argument("--ratio", type=parse_ratio, default=[2, 1], help="WI:WR, or any: all of both")
    group.add_argument("--seed", type=int, default=0, help="of order and shuffle")
    group = parser.add_argument_group("near-duplicate requests")
    group.add_argument("--tokenizer_model_name", help="tokenizer of the model to train; without it, words")
    group.add_argument("--threshold", type=float, default=0.7, help="Jaccard similarity")
    group.add_argument("--num_perm", type=int, default=128, help="permutations")
    group.add_argument("--across", action="store_true", help="WI and WR together instead of each for itself")
    add_guard_arguments(parser, "max_copied", "any_language")
    group = parser.add_argument_group("filter")
    for name in ("min_request_chars", "min_response_chars", "max_response_chars"):
        group.add_argument(f"--{name}", type=int, default=getattr(Guards(), name), help="0: any")
    group.add_argument(
        "--keep_refusals",
        action=argparse.BooleanOptionalAction,
        help="keep responses that refuse; without either, as the steps before did",
    )
    add_released_arguments(group, ["refusals", "notes", "duplicates", "selection"])
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


def refusals_stay(args: argparse.Namespace, inputs: list[str]) -> bool:
    if args.keep_refusals is not None or args.paper_exact or not kept_refusals(inputs):
        return bool(args.keep_refusals)
    print("a step before kept refusals, so they stay (--no-keep_refusals drops them)", file=sys.stderr)
    return True


def main() -> None:
    args = parse_args()
    output = Path(args.save_name.removesuffix(".jsonl").removesuffix(".parquet") + ".jsonl")
    inputs = list(dict.fromkeys(args.WI_data_paths + args.WR_data_paths))
    parquet = output.with_suffix(".parquet")
    if parquet.exists() and not manifest.path_of(output).exists():
        raise BadInput(f"{parquet}: is there, and not from this step; move it, or choose another --save_name")
    released = released_points(args)
    beside = [parquet, *card_files(output)]
    with Step(inputs, output, **step_options(args), writes=beside) as step, selection.Rows() as rows:
        read_all(step, rows, args, guards_of(args, keep_refusals=refusals_stay(args, inputs)))
        selection.reject_near_duplicates(
            rows, args.tokenizer_model_name, args.threshold, args.num_perm, args.across, "duplicates" in released
        )
        chosen, request_first = choose(step, rows, args)
        if not chosen:
            reasons = selection.most_frequent_reasons(rows)
            raise CommonError(f"no row is left of {len(rows.sides):,}: {reasons}; nothing written")
        write_all(step, rows, chosen, request_first, released)
    write_rows(parquet, read_rows(output))
    write_card("webr", output, parquet)


if __name__ == "__main__":
    run_main(main)
