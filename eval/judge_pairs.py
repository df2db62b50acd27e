"""Which of two models answers better: an LLM judges every pair of answers in both orders.

    python eval/judge_pairs.py wrap --answers1 filtered.jsonl --answers2 full.jsonl --save_path wrapped.json
    python eval/judge_pairs.py judge --wrapped_path wrapped.json --save_path reviews.json --model gpt-4
    python eval/judge_pairs.py combine --review_paths reviews.json --save_path result.json

in   answers of two models to the same questions, from eval/generate.py
out  reviews.json  {"Meta_Info": {...}, "data": [{"prompt", "Answer1", "Answer2", "review", "scores", "review_reverse",
                   "scores_reverse"}]}; scores stand in the order in which the answers were shown
     result.json   wins, ties and losses of the first model, and result.png

A pair is won by the model that wins in both orders, or in one and ties in the other. Winning score: (wins - losses) /
all + 1, above 1 when the first model is better.
"""

import argparse
import asyncio
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import AnswerRejected, BadInput, BadValue, Reject
from common.llm import Ask, Request, add_llm_arguments, ask_rows, llm_options, work_rows
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import read_rows, write_rows, write_text
from common.step import Step, add_step_arguments, need, step_options
from eval.generate import question_of

SCORES = re.compile(r"\s*(\d+(?:\.\d+)?)(?:[ \t]*,[ \t]*|[ \t]+)(\d+(?:\.\d+)?)[ \t\r]*(?:\n|$)")
QUESTION_KEYS = ("prompt", "question", "instruction", "Instruction", "text", "conversations")


# ---------------------------------------------------------------- judging


def parse_scores(review: str) -> tuple[float, float]:
    """The two numbers on the first line, and nothing else: a judge that writes otherwise has not judged."""
    found = SCORES.match(review)
    if not found:
        raise Reject("no two scores on the first line")
    scores = float(found[1]), float(found[2])
    if not all(1 <= score <= 10 for score in scores):
        raise Reject("a score outside 1 to 10")
    return scores


def outcome(row: dict) -> int:
    """1: the first model wins, -1: it loses, 0: a tie."""
    first, second = shown_scores(row["scores"])
    second_reverse, first_reverse = shown_scores(row["scores_reverse"])
    verdict = sign(first - second) + sign(first_reverse - second_reverse)
    return sign(verdict)


def shown_scores(value: str | list) -> tuple[float, float]:
    """Released files hold the list as text: "[8.0, 6.0]"."""
    try:
        first, second = json.loads(value) if isinstance(value, str) else value
        return float(first), float(second)
    except (TypeError, ValueError):
        raise BadInput(f"scores {value!r}: expected two numbers, as in [8.0, 6.0]") from None


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def combine(rows: list[dict]) -> dict:
    outcomes = [outcome(row) for row in rows]
    wins, ties, losses = (outcomes.count(value) for value in (1, 0, -1))
    score = (wins - losses) / len(outcomes) + 1
    return {"wins": wins, "ties": ties, "losses": losses, "winning_score": score}


# ---------------------------------------------------------------- files


def read_reviews(path: str) -> tuple[dict, list[dict]]:
    """(Meta_Info, rows) of a wrapped or reviewed file; plain rows have no Meta_Info."""
    try:
        content = (
            json.loads(Path(path).read_text(encoding="utf-8")) if path.endswith(".json") else list(read_rows(path))
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    if isinstance(content, list):
        return {}, content
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise BadInput(f'{path}: expected {{"Meta_Info": ..., "data": [...]}} or a list of rows')
    return content.get("Meta_Info", {}), content["data"]


def write_reviews(path: str, meta: dict, rows: list[dict]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), json.dumps({"Meta_Info": meta, "data": rows}, indent=4) + "\n")


def question_key(row: dict, path: str) -> str:
    for key in QUESTION_KEYS:
        if isinstance(row.get(key), str):
            return key
    raise BadInput(f"{path}: no question in {', '.join(row)}; name its key with --prompt_key")


def average(rows: list[dict], key: str) -> str:
    pairs = [shown_scores(row[key]) for row in rows]
    return str([sum(column) / len(pairs) for column in zip(*pairs, strict=True)])


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
    figure.savefig(path, dpi=150)
    plt.close(figure)


# ---------------------------------------------------------------- commands


def run_wrap(args: argparse.Namespace) -> None:
    first, second = list(read_rows(args.answers1)), list(read_rows(args.answers2))
    if not first or len(first) != len(second):
        raise BadInput(
            f"{args.answers1} has {len(first):,} rows, {args.answers2} {len(second):,}: not the same questions"
        )
    key = args.prompt_key or question_key(first[0], args.answers1)
    rows = []
    for number, (one, two) in enumerate(zip(first, second, strict=True)):
        question, other = (question_of(row, key, args.input_key) for row in (one, two))
        if question != other:
            raise BadInput(f"row {number}: {args.answers1} and {args.answers2} answer different questions")
        answers = {"Answer1": need(one, args.response_key), "Answer2": need(two, args.response_key)}
        rows.append({"prompt": question} | answers)
    write_reviews(args.save_path, {"dataset_name": args.dataset_name or Path(args.answers1).stem}, rows)


def texts(row: dict) -> tuple[str, str, str]:
    question = need(row, next((key for key in QUESTION_KEYS if key in row), "prompt"))
    return question, need(row, "Answer1"), need(row, "Answer2")


def run_judge(args: argparse.Namespace) -> None:
    meta, pairs = read_reviews(args.wrapped_path)
    template = load_prompt("eval", "judge", path=args.judge_prompt)

    def request_for(question: str, first: str, second: str) -> Request:
        text = fill(template, question=question, answer1=first, answer2=second)
        return Request(messages=[{"role": "user", "content": text}])

    async def review(ask: Ask, question: str, first: str, second: str) -> tuple[str, list[float]]:
        request = request_for(question, first, second)
        for sample in range(args.max_attempts):
            answer = await ask(request, sample)
            try:
                return answer.text, list(parse_scores(answer.text))
            except Reject as why:
                step.counts["reviews without scores"] += 1
                rejected = AnswerRejected(why.reason, answer.text)
        raise rejected

    async def work(row: dict, ask: Ask) -> dict:
        question, first, second = texts(row)
        (text, scores), (text_reverse, scores_reverse) = await asyncio.gather(
            review(ask, question, first, second), review(ask, question, second, first)
        )
        return row | {
            "review": text,
            "scores": str(scores),
            "review_reverse": text_reverse,
            "scores_reverse": str(scores_reverse),
        }

    rows_path = f"{args.save_path}.rows.jsonl"
    if args.dry_run:  # both orders of a pair are known before
        swapped = [row | {"Answer1": row.get("Answer2"), "Answer2": row.get("Answer1")} for row in pairs]
        pairs = [row for both in zip(pairs, swapped, strict=True) for row in both]
    write_rows(f"{args.save_path}.pairs.jsonl", pairs)
    with Step([f"{args.save_path}.pairs.jsonl"], rows_path, **step_options(args)) as step:
        if args.dry_run:
            ask_rows(step, llm_options(args), lambda row: request_for(*texts(row)), lambda row, answer: row)
        work_rows(step, llm_options(args), work)
    rows = list(read_rows(rows_path))
    if rows:
        meta |= {key.replace("scores", "average_scores", 1): average(rows, key) for key in ("scores", "scores_reverse")}
    write_reviews(args.save_path, meta, rows)


def run_combine(args: argparse.Namespace) -> None:
    results, every = {}, []
    for path in args.review_paths:
        meta, rows = read_reviews(path)
        for number, row in enumerate(rows):
            if "scores" not in row or "scores_reverse" not in row:
                raise BadInput(f"{path}, row {number}: not judged in both orders")
        if not rows:
            raise BadInput(f"{path}: no judged pair in it")
        name = meta.get("dataset_name", Path(path).stem)
        results[path if name in results else name] = combine(rows)
        every += rows
    if len(args.review_paths) > 1:
        results["all"] = combine(every)
    for name, result in results.items():
        print(
            f"{name}: {result['wins']} wins, {result['ties']} ties, {result['losses']} losses, "
            f"winning score {result['winning_score']:.3f}"
        )
    write_text(Path(args.save_path), json.dumps(results, indent=1) + "\n")
    draw(results, Path(args.save_path).with_suffix(".png"))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    wrap = commands.add_parser("wrap", help="put two models' answers side by side")
    wrap.set_defaults(run=run_wrap)
    wrap.add_argument("--answers1", required=True, help="answers of the model that may win")
    wrap.add_argument("--answers2", required=True, help="answers of the other")
    wrap.add_argument("--save_path", required=True, help="the pairs (.json)")
    wrap.add_argument("--dataset_name", help="name of the questions (default: that of the first file)")
    wrap.add_argument("--prompt_key", help="key of the question (default: the first known one)")
    wrap.add_argument("--input_key", help="key of a text that follows the question, as in generate.py")
    wrap.add_argument("--response_key", default="response", help="key of the answer")
    judge = commands.add_parser("judge", help="let an LLM score every pair in both orders")
    judge.set_defaults(run=run_judge)
    judge.add_argument("--wrapped_path", required=True, help="pairs, from wrap")
    judge.add_argument("--save_path", required=True, help="reviews (.json)")
    judge.add_argument("--judge_prompt", help="prompt file with {question}, {answer1}, {answer2}")
    add_step_arguments(judge)
    add_llm_arguments(judge, temperature=0.0, max_tokens=1024)
    both = commands.add_parser("combine", help="count wins, ties and losses; draw them")
    both.set_defaults(run=run_combine)
    both.add_argument("--review_paths", nargs="+", required=True, help="reviews, ours or the original's")
    both.add_argument("--save_path", required=True, help="result (.json); the figure lies beside it (.png)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        args.run(args)
    except BadValue as why:
        raise BadInput(why.reason) from why


if __name__ == "__main__":
    run_main(main)
