"""edu_filter step 4: keep the documents that score high enough.

    python edu_filter/step4_filter.py --dataset_path out/scored --score 3 --output_path out/kept.jsonl

in   scored rows of step 3, {"texto": "...", "score": 2.61, "int_score": 3}
out  those that are kept, in the order of the input, in one file or dataset folder. --score 3 keeps int_score 3 and
     more: a score of 2.5 or more (of a --paper_exact run: more than 2.5, since halves went to the even number)
"""

import argparse
import json
import math
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

import numpy as np

from common.errors import BadInput, BadRow
from common.languages import detect_language
from common.program import make_parser, run_main
from common.rows import input_files, scan_rows
from common.step import Step, add_step_arguments, map_rows, need, step_options
from edu_filter.asking import documents, not_negative

Keep = Callable[[dict], bool]


def at_least(key: str, least: float) -> Keep:
    return lambda row: need(row, key, (int, float)) >= least


def by_language(path: str, text_column: str) -> Keep:
    """Thresholds of a file {"es": 2.7, "pt": 2.4, "default": 2.5}; --lang's default is the row's own column."""
    try:
        thresholds = {lang: float(least) for lang, least in json.loads(Path(path).read_text(encoding="utf-8")).items()}
        if not all(map(math.isfinite, thresholds.values())):
            raise ValueError("one is not a number")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BadInput(f'{path}: not thresholds like {{"es": 2.7, "default": 2.5}}: {error}') from None

    def keep(row: dict) -> bool:
        lang = row.get("lang") or detect_language(need(row, text_column))
        if lang not in thresholds and "default" not in thresholds:
            raise BadInput(f'{path}: has no threshold for {lang!r} and no "default"')
        return need(row, "score", (int, float)) >= thresholds.get(lang, thresholds.get("default"))

    return keep


def best(path: str, split: str | None, number: int | None, share: float | None) -> Keep:
    """Exactly so many of the best; of equal scores those that come first. Rows must come in the same order again."""
    scores = array("d")
    for file in input_files(path):
        for row in scan_rows(file, split):
            usable = not isinstance(row, BadRow) and isinstance(row.get("score"), int | float)
            scores.append(row["score"] if usable else -np.inf)
    values = np.frombuffer(scores)
    number = int(len(values) * share + 1e-9) if number is None else min(number, len(values))
    cut = np.partition(values, len(values) - number)[len(values) - number] if number else np.inf
    left_at_cut = number - int(np.sum(values > cut))

    def keep(row: dict) -> bool:
        nonlocal left_at_cut
        score = need(row, "score", (int, float))
        if score == cut:
            left_at_cut -= 1
            return left_at_cut >= 0
        return score > cut

    return keep


def kept_or_not(step: Step, keep: Keep) -> Callable[[dict], list[dict]]:
    def choose(row: dict) -> list[dict]:
        kept = keep(row)
        step.counts["kept" if kept else "dropped"] += 1
        return [row] if kept else []

    return choose


def share(text: str) -> float:
    if not 0 < (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0, at most 1")
    return value


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--dataset_path", "--data_path", dest="data_path", required=True, help="scored rows: folder, file or glob"
    )
    parser.add_argument(
        "--output_path", "--save_path", dest="save_path", required=True, help="the rows kept; the ending is the format"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--score", type=int, help="least int_score: 3 keeps scores of 2.5 and more")
    how.add_argument("--threshold", type=float, help="least score, not rounded")
    how.add_argument("--keep_share", type=share, help="exactly this share of the rows, the best ones")
    how.add_argument("--keep_num", type=not_negative, help="exactly so many rows, the best ones")
    how.add_argument("--per_lang", help='file with a threshold for each language: {"es": 2.7, "default": 2.5}')
    parser.add_argument("--text_column", default="texto", help="key of the text, for --per_lang without a lang column")
    parser.add_argument("--num_proc", type=int, help="of the released command; one process keeps up with a disk")
    add_step_arguments(parser)
    args = parser.parse_args()
    args.data_path = documents(args.data_path)
    return args


def main() -> None:
    args = parse_args()
    if args.score is not None:
        keep = at_least("int_score", args.score)
    elif args.threshold is not None:
        keep = at_least("score", args.threshold)
    elif args.per_lang:
        keep = by_language(args.per_lang, args.text_column)
    else:
        keep = best(args.data_path, args.split, args.keep_num, args.keep_share)
    reads = [args.per_lang] if args.per_lang else []
    with Step([args.data_path], args.save_path, reads=reads, **step_options(args)) as step:
        map_rows(step, kept_or_not(step, keep))


if __name__ == "__main__":
    run_main(main)
