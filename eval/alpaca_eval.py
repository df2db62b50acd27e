"""AlpacaEval 2: how often a judge prefers a model's output to the baseline's, on 805 instructions.

    python eval/alpaca_eval.py judge --data_path answers.jsonl --baseline alpaca_eval_gpt4_baseline.json \\
        --save_path verdicts.jsonl --model gpt-4-1106-preview
    python eval/alpaca_eval.py score --data_path verdicts.jsonl --save_path alpaca_eval.json
    .venv-alpaca/bin/python eval/length_controlled.py --data_path verdicts.jsonl --gamed df_gamed.csv \\
        --save_path alpaca_eval_lc.json                        # bash eval/setup_alpaca.sh makes that environment

in   answers: {"instruction": "…", "response": "…"} a row; the baseline's {"instruction": "…", "output": "…"}, all of
     them and in the published order
out  judge: {"index": 0, "preference": 1.93, "output_1": baseline's, "output_2": the model's, "m": 2} a row: 1 is the
     baseline, 2 the model, between them what the judge's probabilities of "m" and "M" say; null where it named neither
     score: {"win_rate": 25.3, "standard_error": 1.4, "rows": 805, "unparsed": 2}
The judge must give top_logprobs. Which output is shown as m is drawn for each row, the same whenever it is run.
"""

import argparse
import json
import math
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadValue, Reject
from common.llm import Ask, Request, add_llm_arguments, llm_options, work_rows
from common.llm.dry_run import about_tokens
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import read_rows, refuse_overlap, write_text
from common.step import Step, add_step_arguments, need, step_options
from eval.benchmark_tasks import limited
from eval.length_controlled import read_verdicts, settings_of

LONGEST_ANSWER = 2048  # tokens that eval/benchmarks.sh lets a model write
TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)\n?<\|im_end\|>", re.S)


def preference_for_capital(logprobs: dict | None) -> float | None:
    """p(M) / (p(m) + p(M)) of the judge's first token; None where neither is among the likeliest."""
    first = ((logprobs or {}).get("content") or [{}])[0].get("top_logprobs") or []
    chances = {entry["token"]: math.exp(entry["logprob"]) for entry in first if entry["token"] in ("m", "M")}
    total = sum(chances.values())
    return chances.get("M", 0.0) / total if total else None


def judge_messages(template: str, instruction: str, outputs: list[str]) -> list[dict]:
    """A template in ChatML, as the published one is, keeps its turns."""
    values = {"instruction": instruction, "output_1": outputs[0], "output_2": outputs[1]}
    fill(template, **values)  # refuses one that lacks a place
    turns = TURN.findall(template) or [("user", template)]
    return [
        {"role": role, "content": fill(text, **{name: values[name] for name in values if "{" + name + "}" in text})}
        for role, text in turns
    ]


def judge(baseline: dict[str, tuple[int, str]], template: str, response_key: str, max_attempts: int) -> Callable:
    async def work(row: dict, ask: Ask) -> dict:
        instruction, ours = need(row, "instruction"), need(row, response_key)
        if instruction not in baseline:
            raise BadValue("the baseline has no output for this instruction")
        index, theirs = baseline[instruction]
        ours_is_m = random.Random(instruction).random() < 0.5
        shown = [ours, theirs] if ours_is_m else [theirs, ours]
        request = Request(
            messages=judge_messages(template, instruction, shown), temperature=1.0, max_tokens=1, logprobs=True,
            top_logprobs=5,
        )  # fmt: skip
        for sample in range(max_attempts):
            answer = await ask(request, sample)
            if not any(answer.logprobs):
                raise Reject("the judge gives no logprobs")
            if (chance := preference_for_capital(answer.logprobs[0])) is not None:
                break
        preference = None if chance is None else 2 - chance if ours_is_m else 1 + chance
        return {"index": index, "preference": preference, "output_1": theirs, "output_2": ours, "m": 1 + ours_is_m}

    return work


def estimate(baseline: dict[str, tuple[int, str]], template: str, response_key: str) -> Callable:
    """Requests and tokens of a row, for --dry_run; an answer that is not there yet is taken as long as may be."""
    around = about_tokens(template)

    def count(row: dict) -> tuple[int, int, int]:
        instruction = need(row, "instruction")
        ours = about_tokens(row[response_key]) if response_key in row else LONGEST_ANSWER
        shown = about_tokens(instruction) + about_tokens(baseline.get(instruction, (0, ""))[1]) + ours
        return 1, around + shown, 1

    return count


def score(rows: list[dict]) -> dict:
    """The plain win rate in percent."""
    wins = [100 * (row["preference"] - 1) for row in rows if row["preference"] is not None]
    if not wins:
        raise BadInput("no verdict could be read")
    mean = sum(wins) / len(wins)
    spread = math.sqrt(sum((win - mean) ** 2 for win in wins) / max(1, len(wins) - 1))
    error = spread / math.sqrt(len(wins))
    return {"win_rate": mean, "standard_error": error, "rows": len(rows), "unparsed": len(rows) - len(wins)}


def read_baseline(path: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for index, row in enumerate(read_rows(path)):
        found.setdefault(need(row, "instruction"), (index, need(row, "output")))
    return found


# ---------------------------------------------------------------- commands


def run_judge(args: argparse.Namespace) -> None:
    baseline, template = read_baseline(args.baseline), load_prompt("eval", "alpaca_eval", path=args.prompt_path)
    reads = [args.baseline, *([args.prompt_path] if args.prompt_path else [])]
    options = llm_options(args)
    with Step([args.data_path], args.save_path, **step_options(args), reads=reads) as step:
        work = judge(baseline, template, args.response_key, options.max_attempts)
        work_rows(step, options, work, estimate(baseline, template, args.response_key))
        settings = {"judge": step.facts["llm"]["model"], "prompt": "the user's" if args.prompt_path else "ours"}
        step.facts["result"] = {"settings": settings}


def run_score(args: argparse.Namespace) -> None:
    refuse_overlap([args.data_path], [args.save_path])
    result = score(read_verdicts(args.data_path))
    notes = [limited("alpaca_eval", result["rows"]), "length-controlled: not computed here"]
    result |= {"settings": settings_of(args.data_path), "note": "; ".join(filter(None, notes))}
    write_text(Path(args.save_path), json.dumps(result, indent=1) + "\n")
    print(f"win rate {result['win_rate']:.2f} % of {result['rows']:,} rows ({result['note']})")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    judging = commands.add_parser("judge", help="let a judge choose between the answers and the baseline's")
    judging.set_defaults(run=run_judge)
    judging.add_argument("--data_path", required=True, help="instructions with the model's answers")
    judging.add_argument("--baseline", required=True, help="the baseline's outputs")
    judging.add_argument("--save_path", required=True, help="verdicts")
    judging.add_argument("--response_key", default="response", help="key of the model's answer")
    judging.add_argument(
        "--prompt_path", help="prompt file with {instruction}, {output_1}, {output_2}, also in ChatML, instead of ours"
    )
    add_step_arguments(judging)
    add_llm_arguments(judging)
    scoring = commands.add_parser("score", help="from verdicts to the plain win rate")
    scoring.set_defaults(run=run_score)
    scoring.add_argument("--data_path", required=True, help="output of `judge`")
    scoring.add_argument("--save_path", required=True, help="the result (.json)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == "__main__":
    run_main(main)
