"""MT-Bench: 80 questions of two turns, each turn rated from 1 to 10 by a judge.

    python eval/mt_bench.py answer --data_path question.jsonl --save_path answers.jsonl --model results/mine
    python eval/mt_bench.py judge --data_path answers.jsonl --reference reference_answer/gpt-4.jsonl \\
        --save_path mt_bench.scored.jsonl --model gpt-4

in   FastChat's question.jsonl {"question_id": 81, "category": "writing", "turns": ["…", "…"]} and, for the judge, its
     reference answers {"question_id": 101, "choices": [{"turns": ["…", "…"]}]} (math, reasoning and coding have them)
out  answer: the same rows with "answers": ["…", "…"]; judge: the rows with "verdicts" and "scores" [8.0, 7.0], null
     where no rating could be read, and {"score": 7.1, "verdicts": 160, "unparsed": 2, "by_category": {…}} on stdout
"""

import argparse
import asyncio
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, Reject
from common.llm import Ask, Request, add_llm_arguments, llm_options, work_rows
from common.llm.dry_run import about_tokens
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import read_rows
from common.step import Step, add_step_arguments, need, step_options
from eval.benchmark_tasks import limited

# The published settings: creative questions are sampled, those with one right answer are not.
TEMPERATURE = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
LONGEST_ANSWER = 1024  # tokens, as published
RATINGS = (re.compile(r"\[\[(\d+\.?\d*)\]\]"), re.compile(r"\[(\d+\.?\d*)\]"))


def parse_rating(verdict: str) -> float | None:
    """The first [[number]], else the first [number]."""
    for pattern in RATINGS:
        if found := pattern.search(verdict):
            return float(found[1]) if 1 <= float(found[1]) <= 10 else None
    return None


def answerer() -> Callable:
    async def work(row: dict, ask: Ask) -> dict:
        messages, answers = [], []
        for turn in need(row, "turns", list):
            messages.append({"role": "user", "content": turn})
            answer = await ask(Request(messages=list(messages), temperature=TEMPERATURE.get(row.get("category"))))
            answers.append(answer.text)
            messages.append({"role": "assistant", "content": answer.text})
        return row | {"answers": answers}

    return work


def judge_messages(row: dict, turn: int, reference: list[str] | None, prompts: dict[str, dict]) -> list[dict]:
    """What the judge is shown of a turn: the second together with the first."""
    questions, answers = need(row, "turns", list), need(row, "answers", list)
    shown = range(1) if turn == 0 else range(2)
    prompt = prompts[f"single{'-math' if reference else ''}-v1{'-multi-turn' if turn else ''}"]
    values = {"question": questions[0], "answer": answers[0]}
    if turn:
        values = {f"question_{at + 1}": questions[at] for at in shown}
        values |= {f"answer_{at + 1}": answers[at] for at in shown}
    if reference:
        values |= {f"ref_answer_{at + 1}": reference[at] for at in shown}
    return [
        {"role": "system", "content": prompt["system_prompt"]},
        {"role": "user", "content": fill(prompt["prompt_template"], **values)},
    ]


def judge_prompts(path: str | None) -> dict[str, dict]:
    """FastChat's judge_prompts.jsonl, or ours under the same names."""
    names = [f"single{reference}-v1{turn}" for reference in ("", "-math") for turn in ("", "-multi-turn")]
    if path is None:
        system = load_prompt("eval", "mt_bench_system").strip()
        return {name: {"system_prompt": system, "prompt_template": load_prompt("eval", name)} for name in names}
    prompts = {row.get("name"): row for row in read_rows(path)}
    if missing := [name for name in names if name not in prompts]:
        raise BadInput(f"{path}: has no judge prompt {', '.join(missing)}")
    return prompts


def judge(references: dict, prompts: dict[str, dict], max_attempts: int, judged: list[dict]) -> Callable:
    async def rate(row: dict, turn: int, ask: Ask) -> tuple[str, float | None]:
        request = Request(messages=judge_messages(row, turn, references.get(row.get("question_id")), prompts))
        for sample in range(max_attempts):
            verdict = (await ask(request, sample)).text
            if (rating := parse_rating(verdict)) is not None:
                break
        return verdict, rating

    async def work(row: dict, ask: Ask) -> dict:
        if len(need(row, "answers", list)) < 2 or len(need(row, "turns", list)) < 2:
            raise Reject("expected two turns and two answers")
        rated = await asyncio.gather(*(rate(row, turn, ask) for turn in range(2)))
        judged.append({"category": row.get("category", "none"), "scores": [rating for _, rating in rated]})
        return row | {"verdicts": [verdict for verdict, _ in rated], "scores": judged[-1]["scores"]}

    return work


def estimate_answers(max_tokens: int) -> Callable:
    """Requests and tokens of a row, for --dry_run."""

    def count(row: dict) -> tuple[int, int, int]:
        first, second = map(about_tokens, need(row, "turns", list)[:2])
        return 2, 2 * first + max_tokens + second, 2 * max_tokens

    return count


def estimate_verdicts(references: dict, prompts: dict[str, dict], max_tokens: int) -> Callable:
    """The same; answers that are not there yet are taken as long as may be."""

    def count(row: dict) -> tuple[int, int, int]:
        shown = [about_tokens(text) for text in need(row, "turns", list)[:2]]
        reference = references.get(row.get("question_id"))
        shown = [tokens + about_tokens(text) for tokens, text in zip(shown, reference or ("", ""), strict=False)]
        answers = map(about_tokens, row["answers"]) if "answers" in row else [LONGEST_ANSWER] * 2
        shown = [tokens + answer for tokens, answer in zip(shown, answers, strict=False)]
        around = max(about_tokens(json.dumps(prompt)) for prompt in prompts.values())
        return 2, 2 * around + 2 * shown[0] + shown[1], 2 * max_tokens

    return count


def result_of(rows: list[dict]) -> dict:
    """The mean over all verdicts that could be read, and what lies behind it."""
    scores = [score for row in rows for score in row["scores"]]
    read = [score for score in scores if score is not None]
    categories = defaultdict(list)
    for row in rows:
        categories[row["category"]] += [score for score in row["scores"] if score is not None]
    turns = [[row["scores"][turn] for row in rows if row["scores"][turn] is not None] for turn in range(2)]
    return {
        "score": mean(read),
        "first_turn": mean(turns[0]),
        "second_turn": mean(turns[1]),
        "verdicts": len(scores),
        "unparsed": len(scores) - len(read),
        "by_category": {name: mean(found) for name, found in sorted(categories.items())},
    }


def mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def read_references(path: str | None) -> dict[int, list[str]]:
    rows = read_rows(path) if path else ()
    return {need(row, "question_id", (int, str)): row["choices"][0]["turns"] for row in rows}


def run_answer(args: argparse.Namespace) -> None:
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        work_rows(step, llm_options(args), answerer(), estimate_answers(args.max_tokens))


def run_judge(args: argparse.Namespace) -> None:
    references, prompts = read_references(args.reference), judge_prompts(args.prompt_path)
    reads = [path for path in (args.reference, args.prompt_path) if path]
    options, judged = llm_options(args), []
    with Step([args.data_path], args.save_path, **step_options(args), reads=reads) as step:
        work = judge(references, prompts, options.max_attempts, judged)
        work_rows(step, options, work, estimate_verdicts(references, prompts, args.max_tokens))
        settings = {"judge": step.facts["llm"]["model"], "prompt": "the user's" if args.prompt_path else "ours"}
        note = limited("mt_bench", len(judged))
        step.facts["result"] = result_of(judged) | {"settings": settings, "note": note}
    print(json.dumps(step.facts["result"]))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    answer = commands.add_parser("answer", help="let a model answer both turns")
    answer.set_defaults(run=run_answer)
    judging = commands.add_parser("judge", help="let a judge rate both turns")
    judging.set_defaults(run=run_judge)
    judging.add_argument("--reference", help="reference answers, in FastChat's format")
    judging.add_argument("--prompt_path", help="FastChat's judge_prompts.jsonl, instead of our wording")
    for command, max_tokens in ((answer, LONGEST_ANSWER), (judging, 2048)):
        command.add_argument("--data_path", required=True, help="questions; for the judge the output of `answer`")
        command.add_argument("--save_path", required=True, help="the rows with answers, or with verdicts and scores")
        add_step_arguments(command)
        add_llm_arguments(command, temperature=0.0, max_tokens=max_tokens)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == "__main__":
    run_main(main)
