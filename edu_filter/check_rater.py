"""edu_filter, beside step 1: does the rater agree with a second prompt or model, with people, with itself last month?

    python edu_filter/check_rater.py --data_path out/ratings.jsonl --save_path out/agreement.jsonl --sentinels out/fixed

in   rows of step 1, {"texto": "...", "rating": 3, ...}; --human: rows with a rating by hand of some of the same texts
out  out/agreement.jsonl: {"texto": "...", "first_rating": 3, "rating": 4, ...} for --agree_num of them, and
     out/agreement.json with the figures: how often both agree is the ceiling of what a head can learn from one of them
     out/fixed: the same documents, asked again in every run; the figures say when their ratings move
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow, BadValue
from common.llm import LLMOptions, add_llm_arguments, llm_options, work_rows
from common.program import make_parser, positive, run_main
from common.rows import read_rows, write_rows, write_text
from common.step import Step, add_step_arguments, need, step_options
from edu_filter.asking import MAX_CHARS, Prompts, not_negative
from edu_filter.metrics import agreement, drift
from edu_filter.rater import rate
from edu_filter.ratings import HIGHEST
from edu_filter.sampling import SampledStep, sample_rows, sampler

SENTINELS = 50
MOVED = 0.2  # of a mean rating, between two runs


def second_ratings(args: argparse.Namespace, prompts: Prompts, options: LLMOptions) -> dict:
    """Ask again about some of the rows, and compare."""
    work = rate(prompts, args.text_column, args.rating_key, args.model, args.max_tokens, args.max_attempts)

    async def again(row: dict, ask: object) -> dict:
        return await work(row, ask) | {"first_rating": rating_of(row, args.rating_key)}

    sample = sampler(args.agree_num, args.seed)
    figures = Path(args.save_path).with_suffix(".json")
    outputs = {"reads": filter(None, [args.human, args.second_prompt, args.prompt_path]), "writes": [figures]}
    with SampledStep([args.data_path], args.save_path, sample=sample, **outputs, **step_options(args)) as step:
        work_rows(step, options, again)
    rows = list(read_rows(args.save_path))
    return (
        agreement([row["first_rating"] for row in rows], [row[args.rating_key] for row in rows])
        if rows
        else {"rows": 0}
    )


def rating_of(row: dict, key: str) -> float:
    if not 0 <= (rating := need(row, key, (int, float))) <= HIGHEST:
        raise BadValue(f"{key!r} is {rating}, not 0 to {HIGHEST}")
    return rating


def texts_and_ratings(path: str, column: str, key: str) -> Iterator[tuple[str, float]]:
    for index, row in enumerate(read_rows(path)):
        try:
            yield need(row, column), rating_of(row, key)
        except BadValue as why:
            raise BadRow(path, index, why.reason) from None


def human_ratings(args: argparse.Namespace) -> dict:
    by_hand = dict(texts_and_ratings(args.human, args.text_column, args.rating_key))
    rated = texts_and_ratings(args.data_path, args.text_column, args.rating_key)
    pairs = [(by_hand[text], rating) for text, rating in rated if text in by_hand]
    if not pairs:
        raise BadInput(f"{args.human}: none of its texts is among the rated ones")
    return agreement(*zip(*pairs, strict=True))


def ask_sentinels(args: argparse.Namespace, prompts: Prompts, options: LLMOptions) -> list[dict]:
    """One more run over the fixed set; mean and difference of each run. The answers of earlier runs are not used again:
    each run asks for the next sample."""
    folder = Path(args.sentinels)
    fixed = folder / "sentinels.jsonl"
    if not fixed.exists():
        rows = sample_rows(read_rows(args.data_path), SENTINELS, args.seed)
        write_rows(fixed, ({args.text_column: row[args.text_column]} for row in rows))
    runs = sorted(folder.glob("run*.jsonl"))
    number = len([file for file in runs if not file.name.endswith(".rejected.jsonl")])
    with Step([fixed], folder / f"run{number:03}.jsonl", **step_options(args)) as step:
        names, attempts = (args.text_column, args.rating_key, args.model), args.max_attempts
        work_rows(step, options, rate(prompts, *names, args.max_tokens, attempts, number * attempts))
    return compare_runs([folder / f"run{at:03}.jsonl" for at in range(number + 1)], args.text_column, args.rating_key)


def compare_runs(files: list[Path], column: str, key: str) -> list[dict]:
    """Of each run the mean rating, and how far it is from the run before on the texts that both have."""
    found, before = [], {}
    for file in files:
        ratings = {row[column]: row[key] for row in read_rows(file)}
        both = ratings.keys() & before.keys()
        moved = mean(ratings[text] - before[text] for text in both) if both else 0.0
        found.append(
            {
                "run": file.stem,
                "rows": len(ratings),
                "mean": mean(ratings.values()) if ratings else None,
                "moved": moved,
            }
        )
        before = ratings
    return found


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="ratings of step 1")
    parser.add_argument(
        "--save_path", required=True, help="rows rated twice (.jsonl); the figures lie beside it (.json)"
    )
    parser.add_argument("--text_column", default="texto", help="key of a document's text")
    parser.add_argument("--rating_key", default="rating", help="key of the rating")
    parser.add_argument("--agree_num", type=positive, default=500, help="rows that are rated a second time")
    parser.add_argument("--second_prompt", help="file of the second prompt; without it our other rubric")
    parser.add_argument("--prompt_path", help="file of the first prompt, for the sentinels; without it ours")
    parser.add_argument(
        "--max_chars", type=not_negative, default=MAX_CHARS, help="of a document that the model sees; 0: all"
    )
    parser.add_argument("--human", help="rows with a rating by hand, of some of the same texts")
    parser.add_argument("--sentinels", help="folder of a fixed set of documents, asked again in every run")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=512)
    args = parser.parse_args()
    if args.save_path.endswith(".json"):
        parser.error("--save_path: the figures get the name with .json; give the rows another ending")
    return args


def main() -> None:
    args = parse_args()
    options = llm_options(args)
    second = Prompts("rate_levels", path=args.second_prompt, max_chars=args.max_chars)
    figures = {"second": second_ratings(args, second, options)}
    figures["in_order_of_asking"] = drift(
        [rating for _, rating in texts_and_ratings(args.data_path, args.text_column, args.rating_key)]
    )
    if args.human:
        figures["human"] = human_ratings(args)
    if args.sentinels:
        first = Prompts("rate", path=args.prompt_path, max_chars=args.max_chars)
        figures["sentinels"] = ask_sentinels(args, first, options)
        if abs(moved := figures["sentinels"][-1]["moved"]) > MOVED:
            print(f"the sentinels moved by {moved:+.2f} since the last run: the rater is not what it was")
    write_text(Path(args.save_path).with_suffix(".json"), json.dumps(figures, indent=1))
    exact = figures["second"].get("exact")
    print(f"second prompt: {figures['second']['rows']} rows" + ("" if exact is None else f", {exact:.0%} rated alike"))


if __name__ == "__main__":
    run_main(main)
