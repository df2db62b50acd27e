"""Accuracy on Ape210k: the answer is searched where a response states it.

    python eval/evaluate_ape210k.py --base_output_path outputs --ckpt_name my_model --eval_file eval_test.ape.jsonl

in   <base_output_path>/<ckpt_name>/<eval_file>: {"input": "…", "target": "(106)", "output": "…\\n答：106米。"} a line
out  beside it <eval_file>.scored.jsonl: the row, "is_correct" by the released rule, "is_equal" by value, "reason"; then
     {"accuracy": …, "accuracy_by_value": …, "verdicts_differ": …, "rows": …} on stdout
     with --paper_exact instead <eval_file>.autoevaluated.csv as well, and `acc: …` on stdout
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, run_main
from common.rows import write_text
from common.step import Step, add_step_arguments, need, step_options
from eval.ape210k_by_value import is_equal
from eval.ape210k_rule import answer_span, gold_parts, plain_gold, states, without_echo

FALLBACK_KEY = "chatglm2_cot_output"  # where the released ChatGLM2 script leaves its responses


def gold_of(row: dict, golden_key: str | None) -> str:
    """The gold answer as text. As released, an "answer" column goes before "target"; named, the key is the key."""
    if golden_key is None and "answer" in row:
        answer = need(row, "answer", (str, list))
        return str(answer[0] if isinstance(answer, list) and answer else answer)
    return str(need(row, golden_key or "target", (str, int, float)))


def stated(row: dict, prompt_key: str, response_key: str) -> str:
    """The response, without the prompt if it repeats that."""
    output = need(row, response_key if response_key in row or FALLBACK_KEY not in row else FALLBACK_KEY)
    return without_echo(output, need(row, prompt_key)) if "Human" in output else output


def judge(target: str, output: str) -> dict:
    """The released verdict with its reason, and the one by value; they are the same where the gold is no one number."""
    place, span = answer_span(output)
    parts = gold_parts(target)
    correct, equal = states(parts, span), is_equal(target, output)
    reason = f"{'；'.join(parts)} {'is' if correct else 'is not'} in the {place}"
    return {"is_correct": int(correct), "is_equal": int(correct if equal is None else equal), "reason": reason}


def as_released(row: dict, target: str, output: str, is_correct: int) -> dict:
    """The row as the released code leaves it."""
    task = {"task": row["question_type"]} if "answer" in row and "question_type" in row else {}
    return row | {"target": plain_gold(target)} | task | {"output": output, "is_correct": is_correct}


def as_csv(rows: list[dict]) -> str:
    """As released: the columns of the first row, UNK where another lacks one, a mark for spreadsheets in front."""
    import pandas

    columns = {key: [row.get(key, "UNK") for row in rows] for key in (rows[0] if rows else ())}
    return "\ufeff" + pandas.DataFrame(columns).to_csv()


def summary(counts: Mapping[str, int], paper_exact: bool) -> dict:
    rows = counts["done"]
    shares = {"accuracy": "correct", "accuracy_by_value": "equal by value", "verdicts_differ": "verdicts differ"}
    result = {name: counts[count] / rows if rows else None for name, count in shares.items()}
    return {"accuracy": result["accuracy"], "rows": rows} if paper_exact else result | {"rows": rows}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--base_output_path", required=True, help="folder that holds a folder a checkpoint")
    parser.add_argument("--ckpt_name", default="", help="folder of the checkpoint below it; without: none between")
    parser.add_argument("--eval_file", default="eval_test.ape.jsonl", help="the answers")
    parser.add_argument("--save_path", help="scored rows; without: <eval_file>.scored.jsonl beside the answers")
    keys = parser.add_argument_group("columns")
    keys.add_argument(
        "--golden_key", "--target_key", help='key of the gold answer; without: "answer" if there, else "target"'
    )
    keys.add_argument("--prompt_key", default="input", help="key of the problem, read where a response repeats it")
    keys.add_argument("--response_key", default="output", help=f"key of the response; if missing, {FALLBACK_KEY}")
    parser.add_argument("--paper_exact", action="store_true", help="rows, table and print-out of the released code")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = Path(args.base_output_path, args.ckpt_name)
    answers = folder / args.eval_file
    table = folder / (args.eval_file.rstrip("".join(".jsonl")) + ".autoevaluated.csv")  # a set of letters, as released
    rows = []
    options = step_options(args) | {"writes": [table] if args.paper_exact else []}

    def judge_row(row: dict) -> tuple[str, str, dict]:
        target, output = gold_of(row, args.golden_key), stated(row, args.prompt_key, args.response_key)
        return target, output, judge(target, output)

    with Step([answers], args.save_path or f"{answers}.scored.jsonl", **options) as step:
        for _, row, (target, output, verdict) in step.values(judge_row):
            step.counts["correct"] += verdict["is_correct"]
            step.counts["equal by value"] += verdict["is_equal"]
            step.counts["verdicts differ"] += verdict["is_correct"] != verdict["is_equal"]
            if args.paper_exact:
                rows.append(as_released(row, target, output, verdict["is_correct"]))
            step.write(rows[-1] if args.paper_exact else row | verdict)
        step.facts["result"] = summary(step.counts, args.paper_exact)
        if args.paper_exact:
            write_text(table, as_csv(rows))
    print(json.dumps(step.facts["result"]))
    if args.paper_exact:
        print(f"acc: {step.facts['result']['accuracy']}")


if __name__ == "__main__":
    run_main(main)
