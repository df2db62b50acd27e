"""Arena-Hard v0.1: a judge compares a model with the baseline on 500 questions, in both orders.

    python eval/arena_hard.py judge --data_path answers.jsonl --baseline model_answer/gpt-4-0314.jsonl \\
        --save_path verdicts.jsonl --model gpt-4-1106-preview
    python eval/arena_hard.py score --data_path verdicts.jsonl --save_path arena_hard.json --style_control

in   answers: question.jsonl {"question_id": "…", "turns": [{"content": "…"}]} with the model's answer in "response";
     the baseline: the same, or as published {"question_id": "…", "choices": [{"turns": [{"content": "…"}]}]}
out  judge: {"question_id", "verdicts": ["A>B", "B>>A"], "style": [...]} a row, the baseline shown first in the first;
     null where a verdict could not be read
     score: {"score": 31.1, "interval": [29.0, 33.2], "verdicts": 1000, "unparsed": 3}, 50 is equal to the baseline
"""

import argparse
import asyncio
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.errors import BadInput, BadValue
from common.llm import Ask, Request, add_llm_arguments, llm_options, work_rows
from common.llm.dry_run import about_tokens
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import input_files, read_rows, refuse_overlap, write_text
from common.step import Step, add_step_arguments, need, step_options
from eval.benchmark_tasks import limited

VERDICTS = (re.compile(r"\[\[([AB<>=]+)\]\]"), re.compile(r"\[([AB<>=]+)\]"))
# What a verdict says of the second answer shown: (its share of the win, how often it counts).
OUTCOMES = {"A>>B": (0, 3), "A>B": (0, 1), "A=B": (0.5, 1), "B>A": (1, 1), "B>>A": (1, 3)}
OUTCOMES |= {"B<<A": (0, 3), "B<A": (0, 1), "B=A": (0.5, 1), "A<B": (1, 1), "A<<B": (1, 3)}
LONGEST_ANSWER = 4096  # tokens, as published
BOOTSTRAPS = 100
STYLE = ("tokens", "headers", "lists", "bold")


# ---------------------------------------------------------------- judging


def parse_verdict(text: str) -> str | None:
    """The last [[A>B]], else the last [A>B]."""
    for pattern in VERDICTS:
        if found := pattern.findall(text.upper()):
            return found[-1] if found[-1] in OUTCOMES else None
    return None


def question_text(row: dict) -> str:
    turns = row.get("turns")
    if isinstance(turns, list) and turns:
        first = turns[0]
        return first["content"] if isinstance(first, dict) else first
    return need(row, "prompt")


def answer_text(row: dict) -> str:
    if "choices" not in row:
        return need(row, "response")
    turn = row["choices"][0]["turns"][0]
    return turn["content"] if isinstance(turn, dict) else turn


def style_of(text: str) -> list[int]:
    """Words, headings, list items and bold passages, outside of code."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    lists = len(re.findall(r"^\s*(?:\d+\.|[-*+])\s", prose, re.M))
    bold = len(re.findall(r"\*\*[^*\n]+\*\*|__[^_\n]+__", prose))
    return [len(re.findall(r"\w+|[^\w\s]", text)), len(re.findall(r"^#{1,6}\s", prose, re.M)), lists, bold]


def judge(baseline: dict[str, str], template: str, max_attempts: int) -> Callable:
    async def verdict_on(question: str, first: str, second: str, ask: Ask) -> str | None:
        text = fill(template, question=question, answer_1=first, answer_2=second)
        request = Request(messages=[{"role": "user", "content": text}])
        for sample in range(max_attempts):
            if verdict := parse_verdict((await ask(request, sample)).text):
                return verdict
        return None

    async def work(row: dict, ask: Ask) -> dict:
        number = str(need(row, "question_id", (str, int)))
        if number not in baseline:
            raise BadValue(f"the baseline has no answer to question {number}")
        question, ours, theirs = question_text(row), answer_text(row), baseline[number]
        verdicts = await asyncio.gather(
            verdict_on(question, theirs, ours, ask), verdict_on(question, ours, theirs, ask)
        )
        return {"question_id": number, "verdicts": list(verdicts), "style": [style_of(ours), style_of(theirs)]}

    return work


def estimate(baseline: dict[str, str], template: str, max_tokens: int) -> Callable:
    """Requests and tokens of a row, for --dry_run; an answer that is not there yet is taken as long as may be."""
    around = about_tokens(template)

    def count(row: dict) -> tuple[int, int, int]:
        has_answer = "response" in row or "choices" in row
        ours = about_tokens(answer_text(row)) if has_answer else LONGEST_ANSWER
        theirs = about_tokens(baseline.get(str(row.get("question_id")), ""))
        return 2, 2 * (around + about_tokens(question_text(row)) + ours + theirs), 2 * max_tokens

    return count


# ---------------------------------------------------------------- scoring


def battles(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the model's share of each win, how often it counts, its style against the baseline's) for all verdicts."""
    shares, weights, styles = [], [], []
    for row in rows:
        for place, verdict in enumerate(row["verdicts"]):
            if verdict is None:
                continue
            share, weight = OUTCOMES[verdict]
            shares.append(share if place == 0 else 1 - share)
            weights.append(weight)
            styles.append(style_difference(*row["style"]))
    return np.array(shares, float), np.array(weights, float), np.array(styles, float).reshape(-1, len(STYLE))


def style_difference(ours: list[int], theirs: list[int]) -> list[float]:
    length = (ours[0] - theirs[0]) / max(1, ours[0] + theirs[0])
    densities = [[count / (one[0] + 1) for count in one[1:]] for one in (ours, theirs)]
    return [length, *((mine - other) / (mine + other + 1) for mine, other in zip(*densities, strict=True))]


def win_rate(shares: np.ndarray, weights: np.ndarray, styles: np.ndarray, style_control: bool) -> float:
    """In percent. Without style the weighted mean, which is what Bradley-Terry gives for one model against one."""
    if not style_control:
        return float(100 * np.average(shares, weights=weights))
    from sklearn.linear_model import LogisticRegression

    spread = styles.std(axis=0)
    varied = styles[:, spread > 0] / spread[spread > 0]
    features = np.column_stack([np.ones(len(shares)), varied])
    both = np.concatenate([features, features])
    wins = np.concatenate([np.ones(len(shares)), np.zeros(len(shares))])
    counted = np.concatenate([weights * shares, weights * (1 - shares)])
    if not counted[wins == 1].any() or not counted[wins == 0].any():
        return float(100 * np.average(shares, weights=weights))
    model = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=1000).fit(both, wins, sample_weight=counted)
    return float(100 / (1 + np.exp(-model.coef_[0][0])))


def score(rows: list[dict], style_control: bool, seed: int) -> dict:
    shares, weights, styles = battles(rows)
    if not len(shares):
        raise BadInput("no verdict could be read")
    draw = random.Random(seed)
    drawn = []
    for _ in range(BOOTSTRAPS):
        places = np.array([draw.randrange(len(shares)) for _ in shares])
        drawn.append(win_rate(shares[places], weights[places], styles[places], style_control))
    total = sum(len(row["verdicts"]) for row in rows)
    return {
        "score": win_rate(shares, weights, styles, style_control),
        "interval": [float(np.percentile(drawn, 5)), float(np.percentile(drawn, 95))],
        "verdicts": total,
        "unparsed": total - len(shares),
        "settings": {"style_control": style_control},
    }


# ---------------------------------------------------------------- commands


def run_judge(args: argparse.Namespace) -> None:
    baseline = {str(need(row, "question_id", (str, int))): answer_text(row) for row in read_rows(args.baseline)}
    template = load_prompt("eval", "arena_hard", path=args.prompt_path)
    options = llm_options(args)
    with Step([args.data_path], args.save_path, **step_options(args), reads=[args.baseline]) as step:
        work = judge(baseline, template, options.max_attempts)
        work_rows(step, options, work, estimate(baseline, template, args.max_tokens))
        settings = {"judge": step.facts["llm"]["model"], "prompt": "the user's" if args.prompt_path else "ours"}
        step.facts["result"] = {"settings": settings}


def read_verdicts(path: str) -> list[dict]:
    rows = list(read_rows(path))
    for number, row in enumerate(rows):
        if not isinstance(row.get("verdicts"), list) or not isinstance(row.get("style"), list):
            raise BadInput(f"{path}, row {number}: no 'verdicts' and 'style'; `judge` writes them")
    return rows


def run_score(args: argparse.Namespace) -> None:
    refuse_overlap(input_files(args.data_path), [args.save_path])
    rows = read_verdicts(args.data_path)
    result = score(rows, args.style_control, args.seed) | {"note": limited("arena_hard", len(rows))}
    if manifest.path_of(Path(args.data_path)).exists():  # the judge, and in whose words it was asked
        result["settings"] |= manifest.read(Path(args.data_path)).get("result", {}).get("settings", {})
    write_text(Path(args.save_path), json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    judging = commands.add_parser("judge", help="let a judge compare the answers with the baseline's")
    judging.set_defaults(run=run_judge)
    judging.add_argument("--data_path", required=True, help="questions with the model's answers")
    judging.add_argument("--baseline", required=True, help="the baseline's answers")
    judging.add_argument("--save_path", required=True, help="verdicts")
    judging.add_argument("--prompt_path", help="prompt file with {question}, {answer_1}, {answer_2}, instead of ours")
    add_step_arguments(judging)
    add_llm_arguments(judging, temperature=0.0, max_tokens=LONGEST_ANSWER)
    scoring = commands.add_parser("score", help="from verdicts to the win rate")
    scoring.set_defaults(run=run_score)
    scoring.add_argument("--data_path", required=True, help="output of `judge`")
    scoring.add_argument("--save_path", required=True, help="the result (.json)")
    scoring.add_argument("--style_control", action="store_true", help="take length and formatting out of the score")
    scoring.add_argument("--seed", type=int, default=0, help="of the random draws")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == "__main__":
    run_main(main)
