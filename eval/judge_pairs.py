"""Which of two models answers better: an LLM judges every pair of answers in both orders.

    python eval/judge_pairs.py wrap --answers1 filtered.jsonl --answers2 full.jsonl --save_path wrapped.json
    python eval/judge_pairs.py judge --wrapped_path wrapped.json --save_path reviews.json --model gpt-4
    python eval/judge_pairs.py combine --review_paths reviews.json --save_path result.json

in   answers of two models to the same questions, from eval/generate.py
out  reviews.json  {"Meta_Info": {...}, "data": [{"prompt", "Answer1", "Answer2", "review", "scores", "review_reverse",
                   "scores_reverse"}]}; scores stand in the order in which the answers were shown
     result.json   wins, ties and losses of the first model for each set of questions, and result.png

A pair is won by the model that wins in both orders, or in one and ties in the other. Winning score: (wins - losses) /
all + 1, above 1 when the first model is better.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import AnswerRejected, BadInput, BadValue, Reject
from common.llm import Ask, Request, add_llm_arguments, ask_rows, llm_options, work_rows
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import check_target, input_files, locked, read_rows, refuse_overlap, replacing, write_rows, write_text
from common.step import Step, add_step_arguments, need, step_options
from eval.questions import PROMPT_KEYS, SETS, question_of
from eval.verdicts import NOT_READ, average, combine, parse_scores, released_scores

# ---------------------------------------------------------------- files


def read_reviews(path: str) -> tuple[dict, list[dict]]:
    """(Meta_Info, rows) of a wrapped or reviewed file; plain rows have no Meta_Info."""
    try:
        content = (
            json.loads(Path(path).read_text(encoding="utf-8")) if path.endswith(".json") else list(read_rows(path))
        )
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    if isinstance(content, list):
        content = {"data": content}
    meta, rows = (content.get("Meta_Info", {}), content.get("data")) if isinstance(content, dict) else ({}, None)
    if not isinstance(rows, list) or not isinstance(meta, dict) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f'{path}: expected {{"Meta_Info": ..., "data": [...]}} or a list of rows')
    return meta, rows


def write_reviews(path: str, meta: dict, rows: list[dict]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), json.dumps({"Meta_Info": meta, "data": rows}, indent=4) + "\n")


def prompt_key_of(row: dict, path: str, dataset_name: str | None) -> str:
    """The key of the set of questions, or the first known one that holds a text."""
    known = [SETS[dataset_name].prompt_key] if dataset_name in SETS else PROMPT_KEYS
    for key in known:
        if isinstance(row.get(key), str):
            return key
    raise BadInput(f"{path}: no question in {', '.join(row)}, expected {' or '.join(known)}; name it with --prompt_key")


# ---------------------------------------------------------------- wrap


def run_wrap(args: argparse.Namespace) -> None:
    refuse_overlap([*input_files(args.answers1), *input_files(args.answers2)], [args.save_path])
    first, second = list(read_rows(args.answers1)), list(read_rows(args.answers2))
    if not first or len(first) != len(second):
        counts = f"{args.answers1} has {len(first):,} rows, {args.answers2} {len(second):,}"
        raise BadInput(f"{counts}: not the same questions")
    key = args.prompt_key or prompt_key_of(first[0], args.answers1, args.dataset_name)
    rows = []
    for number, (one, two) in enumerate(zip(first, second, strict=True)):
        question, other = (question_of(row, key, args.input_key) for row in (one, two))
        if question != other:
            raise BadInput(f"row {number}: {args.answers1} and {args.answers2} answer different questions")
        if not isinstance(question, str):
            raise BadInput(f"{args.answers1}, row {number}: {key!r} is a conversation, expected a text")
        answers = {"Answer1": need(one, args.response_key), "Answer2": need(two, args.response_key)}
        rows.append({key if key in PROMPT_KEYS else "prompt": question} | answers)
    name = args.dataset_name or Path(args.answers1).stem
    write_reviews(args.save_path, {"dataset_name": name, "fname1": args.answers1, "fname2": args.answers2}, rows)


# ---------------------------------------------------------------- judge


def swapped(row: dict) -> dict:
    return row | {"Answer1": row.get("Answer2"), "Answer2": row.get("Answer1")}


def request_maker(prompt_path: str | None, system_prompt: str | None) -> Callable[[dict], Request]:
    template = load_prompt("eval", "judge", path=prompt_path)
    system = load_prompt("eval", "judge_system").strip() if system_prompt is None else system_prompt
    first = [{"role": "system", "content": system}] if system else []

    def make_request(row: dict) -> Request:
        question = need(row, next((key for key in PROMPT_KEYS if key in row), "prompt"))
        text = fill(template, question=question, answer1=need(row, "Answer1"), answer2=need(row, "Answer2"))
        return Request(messages=[*first, {"role": "user", "content": text}])

    return make_request


async def review(ask: Ask, request: Request, step: Step, max_attempts: int, paper_exact: bool) -> tuple[str, list]:
    """What the judge writes, and its scores; without scores it is asked again, or as released counted as -1."""
    for sample in range(max_attempts):
        answer = await ask(request, sample)
        if paper_exact:
            return answer.text, released_scores(answer.text)
        try:
            return answer.text, list(parse_scores(answer.text))
        except Reject as why:
            step.counts["reviews without scores"] += 1
            rejected = AnswerRejected(why.reason, answer.text)
    raise rejected


def judge_pairs(args: argparse.Namespace, pairs_path: str, rows_path: str) -> str:
    """Leaves the reviewed pairs in `rows_path`; gives the judge's name."""
    make_request = request_maker(args.prompt_path, args.system_prompt)
    options = llm_options(args)

    async def work(row: dict, ask: Ask) -> dict:
        orders = [
            review(ask, make_request(shown), step, options.max_attempts, args.paper_exact)
            for shown in (row, swapped(row))
        ]
        (text, scores), (text_reverse, scores_reverse) = await asyncio.gather(*orders)
        reviewed = {"review": text, "scores": str(scores)}
        return row | reviewed | {"review_reverse": text_reverse, "scores_reverse": str(scores_reverse)}

    with Step([pairs_path], rows_path, **step_options(args)) as step:
        if options.dry_run:  # the requests of both orders are known before
            ask_rows(step, options, make_request, lambda row, answer: row)
        work_rows(step, options, work)
    return str(step.facts["llm"]["model"])


def run_judge(args: argparse.Namespace) -> None:
    meta, pairs = read_reviews(args.wrapped_path)
    pairs_path, rows_path = f"{args.save_path}.pairs.jsonl", f"{args.save_path}.rows.jsonl"
    reads = [args.wrapped_path, *([args.prompt_path] if args.prompt_path else [])]
    refuse_overlap(reads, [args.save_path, pairs_path, rows_path])
    check_target(Path(args.save_path), folder=False)  # now, not after the last answer is paid
    if args.dry_run:
        with tempfile.TemporaryDirectory() as folder:
            both = [row for pair in pairs for row in (pair, swapped(pair))]
            write_rows(Path(folder) / "pairs.jsonl", both)
            judge_pairs(args, str(Path(folder) / "pairs.jsonl"), rows_path)
    with locked(args.save_path):  # a second run must not replace the pairs of the first
        write_rows(pairs_path, pairs)
        judge = judge_pairs(args, pairs_path, rows_path)
        rows = list(read_rows(rows_path))
        if rows:
            averages = {"average_scores": "scores", "average_scores_reverse": "scores_reverse"}
            meta |= {name: average(rows, key) for name, key in averages.items()}
        meta |= {"judge": judge, "judge_prompt": args.prompt_path or "this repository's"}
        write_reviews(args.save_path, meta, rows)


# ---------------------------------------------------------------- combine


def settings_of(meta: dict) -> dict:
    """What a result holds for, as far as its file says."""
    said = {"judge": meta.get("judge"), "questions": meta.get("dataset_name"), "prompt": meta.get("judge_prompt")}
    return {name: value for name, value in said.items() if value}


def run_combine(args: argparse.Namespace) -> None:
    picture = Path(args.save_path).with_suffix(".png")
    refuse_overlap(args.review_paths, [args.save_path, picture])
    results, every = {}, []
    for path in args.review_paths:
        meta, rows = read_reviews(path)
        for number, row in enumerate(rows):
            if "scores" not in row or "scores_reverse" not in row:
                raise BadInput(f"{path}, row {number}: not judged in both orders")
        if not rows:
            raise BadInput(f"{path}: no judged pair in it")
        name = str(meta.get("dataset_name", Path(path).stem))
        results[path if name in results else name] = combine(rows) | {"settings": settings_of(meta)}
        every += rows
    if len(args.review_paths) > 1:
        results["all"] = combine(every)
    for name, result in results.items():
        counts = f"{result['wins']} wins, {result['ties']} ties, {result['losses']} losses"
        print(f"{name}: {counts}, winning score {result['winning_score']:.3f}")
    Path(args.save_path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(args.save_path), json.dumps(results, indent=1) + "\n")
    draw(results, picture)


def run_compare(args: argparse.Namespace) -> None:
    """How many reviews are read otherwise than in the released code."""
    for path in args.review_paths:
        _, rows = read_reviews(path)
        reviews = [row[key] for row in rows for key in ("review", "review_reverse") if isinstance(row.get(key), str)]
        pairs = [(scores_or_none(review), released_scores(review)) for review in reviews]
        lost = sum(ours is not None and ours != released for ours, released in pairs)
        again = sum(ours is None and released != NOT_READ for ours, released in pairs)
        neither = sum(ours is None and released == NOT_READ for ours, released in pairs)
        print(
            f"{path}: {len(reviews):,} reviews; {lost:,} read here alone, {again:,} there alone, by neither {neither:,}"
            " (asked again here, -1 there)"
        )


def scores_or_none(review: str) -> list[float] | None:
    try:
        return list(parse_scores(review))
    except Reject:
        return None


def draw(results: dict[str, dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.6 * len(results)), layout="constrained")
    for place, result in enumerate(results.values()):
        left = 0
        for part, color in (("wins", "#2c7fb8"), ("ties", "#c7c7c7"), ("losses", "#d95f0e")):
            axes.barh(place, result[part], left=left, color=color, label=part if not place else None)
            if result[part]:
                axes.text(left + result[part] / 2, place, result[part], ha="center", va="center")
            left += result[part]
    labels = [f"{name}\n{result['winning_score']:.3f}" for name, result in results.items()]
    axes.set_yticks(range(len(results)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("pairs")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    with replacing(path) as part:
        figure.savefig(part, dpi=150, format="png")
    plt.close(figure)


# ---------------------------------------------------------------- commands


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    wrap = commands.add_parser("wrap", help="put two models' answers side by side")
    wrap.set_defaults(run=run_wrap)
    wrap.add_argument("--answers1", required=True, help="answers of the model that may win")
    wrap.add_argument("--answers2", required=True, help="answers of the other")
    wrap.add_argument("--save_path", required=True, help="the pairs (.json)")
    wrap.add_argument("--dataset_name", help=f"{', '.join(SETS)}, or a name of yours (that of the first file)")
    wrap.add_argument("--prompt_key", help="key of the question (that of --dataset_name, or the first known one)")
    wrap.add_argument("--input_key", help="key of a text that the question is about: the paper's judge does not see it")
    wrap.add_argument("--response_key", default="response", help="key of the answer")
    judge = commands.add_parser("judge", help="let an LLM score every pair in both orders")
    judge.set_defaults(run=run_judge)
    judge.add_argument("--wrapped_path", required=True, help="pairs, from wrap")
    judge.add_argument("--save_path", required=True, help="reviews (.json)")
    judge.add_argument("--prompt_path", metavar="FILE", help="a prompt of yours, with {question}, {answer1}, {answer2}")
    judge.add_argument("--system_prompt", help="system message of yours; an empty one leaves it out")
    judge.add_argument("--paper_exact", action="store_true", help="scores as released: what is not read counts as -1")
    add_step_arguments(judge)
    add_llm_arguments(judge, temperature=0.0, max_tokens=1024)
    both = commands.add_parser("combine", help="count wins, ties and losses; draw them")
    both.set_defaults(run=run_combine)
    both.add_argument("--review_paths", nargs="+", required=True, help="reviews, ours or the original's")
    both.add_argument("--save_path", required=True, help="result (.json); the figure lies beside it (.png)")
    compare = commands.add_parser("compare", help="count the reviews that are read otherwise than as released")
    compare.set_defaults(run=run_compare)
    compare.add_argument("--review_paths", nargs="+", required=True, help="reviews, ours or the original's")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        args.run(args)
    except BadValue as why:
        raise BadInput(why.reason) from why


if __name__ == "__main__":
    run_main(main)
