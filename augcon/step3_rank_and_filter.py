"""AugCon step 3: of each root's questions the best ones that do not repeat one another, as many as its quota.

    python augcon/step3_rank_and_filter.py --data_path out/questions.jsonl --save_path out/filtered.jsonl \\
        --model_name_or_path out/scorer

in   rows of step 1, or the released queries.json; the folder of the scorer that step 2 trained
out  a row a question, root by root, the best first: {"root": 0, "rank": 0, "score": 1.73, "depth": 2, "lang": "en",
     "context": "…", "question": "…", "article": 0}; filtered_queries.json, the released form
     out/filtered.dropped.jsonl: the others, each with its reason; out/filtered.short.jsonl: roots below their quota,
     for step 1 --short_path
"""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon.prompts import add_prompt_arguments
from augcon.question_filter import THRESHOLD, Similar, filter_ranked, rank, released_filter, similar_to
from augcon.rating import drawn_scores, rate_questions
from augcon.released_files import as_rows, beside, kept_by_root, root_rows, write_queries
from augcon.scorer import Scoring, score_questions
from common.errors import BadValue, Reject
from common.llm import add_llm_arguments, llm_options
from common.program import make_parser, positive, run_main
from common.rows import RowWriter, input_files, read_rows, refuse_overlap, scan_rows
from common.shards import add_shard_arguments, remove_parts, shard_options
from common.step import Step, add_step_arguments, need, step_options


def checked(row: dict) -> dict:
    for question in need(row, "questions", list):
        if not isinstance(question, dict):
            raise BadValue(f"'questions' holds a {type(question).__name__}, expected objects")
        need(question, "context"), need(question, "question")
    need(row, "quota", int)
    return row


def score_rows(args: argparse.Namespace, data_path: str, scored_path: str) -> None:
    """The rows with "scores": one for each question, in order."""
    with Step([data_path], scored_path, allow_nan=True, **step_options(args)) as step:
        if args.rank == "judge":
            return rate_questions(step, llm_options(args), args.prompt_folder)
        scores = trained_scores(args, data_path) if args.rank == "scorer" else None
        for _, row, _ in step.values(checked):
            count = len(row["questions"])
            drawn = scores or iter(drawn_scores(row["root"], count, args.seed))
            step.write(row | {"scores": list(islice(drawn, count))})


def trained_scores(args: argparse.Namespace, data_path: str) -> Iterator[float]:
    """The trained scorer's, for all questions in order."""

    def questions() -> Iterator[dict]:
        for row in scan_rows(data_path, args.split):
            with contextlib.suppress(BadValue, TypeError):  # such rows are named, or set aside, by the step
                yield from checked(row)["questions"]

    device = args.device or default_device()
    dtype = args.dtype or ("float32" if device == "cpu" else "bfloat16")
    scoring = Scoring(args.model_name_or_path, device, dtype, args.batch_tokens)
    return score_questions(questions(), Path(f"{args.save_path}.parts"), scoring, **shard_options(args))


def default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def ranked_and_filtered(
    row: dict, args: argparse.Namespace, excluded: dict[str, Similar]
) -> list[tuple[int, str | None]]:
    """(place, why it goes or None) of a root's questions, the best first."""
    order = rank(need(row, "scores", list))
    texts = [row["questions"][place]["question"] for place in order]
    if not args.paper_exact:
        results = filter_ranked(texts, row["quota"], args.rouge_thres, args.similarity, excluded)
        return [(order[place], why) for place, why in results]
    try:
        kept = set(released_filter(texts, row["quota"], args.rouge_thres))
    except ValueError as problem:
        raise Reject(f"a question without words ends the released filter: {problem}") from None
    return [(order[place], None if place in kept else "not kept") for place in range(len(texts))]


def question_row(row: dict, place: int, rank: int) -> dict:
    question = row["questions"][place]
    given = {"article": row.get("article"), "depth": question.get("depth")}
    facts = {"root": row["root"], "rank": rank, "score": row["scores"][place], "lang": row["lang"]}
    facts |= {name: value for name, value in given.items() if value is not None}
    return facts | {"context": question["context"], "question": question["question"]}


def filter_rows(step: Step, args: argparse.Namespace, dropped: RowWriter, short: RowWriter) -> None:
    excluded = {}
    if args.exclude_questions:
        tests = (need(row, "question") for row in read_rows(args.exclude_questions))
        excluded["near an excluded question"] = similar_to(tests, args.rouge_thres, args.similarity)
    if args.across_texts:
        excluded["near a question about another text"] = others = similar_to((), args.rouge_thres, args.similarity)
    for _, row, results in step.values(lambda row: ranked_and_filtered(row, args, excluded)):
        kept = [place for place, why in results if why is None]
        step.write(*(question_row(row, place, rank) for rank, place in enumerate(kept)))
        if args.across_texts:
            others.add(row["questions"][place]["question"] for place in kept)
        reasons = Counter(why for _, why in results if why)
        for place, why in results:
            if why:
                dropped.write(question_row(row, place, -1) | {"why": why})
        missing = max(0, row["quota"] - len(kept))
        step.counts.update({"questions wanted": row["quota"], "kept": len(kept), "missing": missing, **reasons})
        if missing:
            facts = {"root": row["root"], "quota": row["quota"], "kept": len(kept), "trees": row.get("trees", 0) + 1}
            short.write(facts | {"grown": len(results), "dropped": dict(reasons), "ended": row.get("ended")})


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--data_path", default="results/augcon/questions.jsonl", help="questions of step 1, or a released queries.json"
    )
    parser.add_argument("--save_path", default="results/augcon/filtered.jsonl", help="the questions that stay")
    group = parser.add_argument_group("rank")
    group.add_argument(
        "--rank", choices=["scorer", "judge", "random"], default="scorer", help="by step 2's scorer, a model, or a draw"
    )
    group.add_argument("--model_name_or_path", default="results/augcon/scorer", help="folder of the scorer")
    group.add_argument("--batch_tokens", type=positive, default=16_384, help="tokens scored together, padding included")
    group.add_argument("--device", help="cpu, cuda; without it cuda if there is one")
    group.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="of the scorer; on a GPU bfloat16")
    group.add_argument("--seed", type=int, default=0, help="of the draw")
    group = parser.add_argument_group("filter")
    group.add_argument(
        "--rouge_thres", type=float, default=THRESHOLD, help="ROUGE-L above which a question repeats one"
    )
    group.add_argument("--similarity", choices=["f", "p", "r"], default="f", help="ROUGE-L's F1, precision or recall")
    group.add_argument(
        "--across_texts", action="store_true", help="compare with the questions about earlier texts as well"
    )
    group.add_argument("--exclude_questions", help='test questions ({"question"}): what is near one of them goes')
    group.add_argument("--paper_exact", action="store_true", help="filter as the released code does")
    add_shard_arguments(parser)
    add_prompt_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.2, max_tokens=16)
    args = parser.parse_args()
    if args.across_texts and args.paper_exact:
        parser.error("--across_texts: the released filter looks at one text at a time")
    return args


def main() -> None:
    args = parse_args()
    scored, dropped, short = (beside(args.save_path, name) for name in ("scored", "dropped", "short"))
    queries_path, parts = Path(args.save_path).with_name("filtered_queries.json"), Path(f"{args.save_path}.parts")
    tests = [args.exclude_questions] if args.exclude_questions else []
    converted = beside(args.save_path, "from_released")
    refuse_overlap(
        [*input_files(args.data_path), *tests],
        [args.save_path, scored, dropped, short, queries_path, converted, parts],
    )
    score_rows(args, as_rows(args.data_path, args.save_path, root_rows), scored)
    args.split = None  # belonged to the questions
    outputs = {"writes": [dropped, short, queries_path], "reads": tests}
    with Step([scored], args.save_path, allow_nan=True, **outputs, **step_options(args)) as step:
        with RowWriter(dropped, allow_nan=True) as others, RowWriter(short) as below:
            filter_rows(step, args, others, below)
    write_queries(queries_path, kept_by_root(scored, args.save_path))
    remove_parts(parts)


if __name__ == "__main__":
    run_main(main)
