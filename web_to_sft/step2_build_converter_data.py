"""Turn pairs into examples that teach a model to rewrite a crawled problem in the clean form of its high-quality twin.

    python web_to_sft/step2_build_converter_data.py --pairs_path pairs.jsonl --web_path web.jsonl \\
        --high_quality_path clean.jsonl --save_path converter.jsonl

in   pairs {"highquality_idx": 17, "web57w_idx": 0} of step 1, and the two files they point into
out  {"instruction": "你是一位小学数学老师……", "output": "[问题]\\n…\\n\\n[答案]\\n…", and the two indices} a line
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadRow, BadValue
from common.program import make_parser, progress, run_main
from common.prompts import fill, load_prompt
from common.rows import read_rows, scan_rows
from common.step import Step, add_step_arguments, need, step_options
from web_to_sft.conversions import ANSWER_MARK, NOT_MATHS, QUESTION_MARK, UNREADABLE
from web_to_sft.step1_match_pairs import texts_of


def converter_prompt(template: str, question: str, analysis: str) -> str:
    return fill(template, question=question, analysis=analysis)


def converter_answer(question: str, solution: str) -> str:
    """The clean side; its full-width spaces become plain ones."""
    return f"{QUESTION_MARK}\n{question}{ANSWER_MARK}{solution}".replace("\u3000", " ")


def read_refusals(path: str, args: argparse.Namespace, template: str) -> list[dict]:
    """Rows {"question", "raw_analysis", "refusal": "not_maths" | "unreadable"} as examples of saying no.

    The released prompt promises both refusals, but no example ever shows one.
    """
    sentences = {"not_maths": NOT_MATHS, "unreadable": UNREADABLE}
    examples = []
    for index, row in enumerate(read_rows(path)):
        if row.get("refusal") not in sentences:
            raise BadRow(path, index, f'"refusal" is {row.get("refusal")!r}, expected not_maths or unreadable')
        texts = texts_of(path, index, row, (args.web_question_key, args.web_analysis_key))
        prompt = converter_prompt(template, *texts)
        examples.append({"instruction": prompt, "output": sentences[row["refusal"]]})
    return examples


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--pairs_path", required=True, help="output of step 1")
    parser.add_argument("--web_path", required=True, help="the crawled problems that step 1 read")
    parser.add_argument("--high_quality_path", required=True, help="the clean problems that step 1 read")
    parser.add_argument("--save_path", required=True, help="examples for step 3")
    parser.add_argument("--refusals_path", help='rows with "refusal": not_maths | unreadable, added at the end')
    parser.add_argument("--lang", default="zh", help="language of the prompt")
    parser.add_argument("--prompt_template", help="file with {question} and {analysis}, instead of ours")
    keys = parser.add_argument_group("columns (defaults: the paper's)")
    keys.add_argument("--web_question_key", default="question", help="key of the crawled problem")
    keys.add_argument("--web_analysis_key", default="raw_analysis", help="key of its solution")
    keys.add_argument("--high_quality_question_key", default="input", help="key of the clean problem")
    keys.add_argument("--high_quality_solution_key", default="solve_step", help="key of its solution")
    add_step_arguments(parser)
    return parser.parse_args()


def wanted_rows(path: str, indices: set[int], keys: tuple[str, str]) -> dict[int, tuple[str, str]]:
    """The two texts of the rows that pairs point at; the other rows of a large crawl, bad ones too, are read past."""
    found = {}
    for index, row in enumerate(scan_rows(path)):
        if index in indices:
            if isinstance(row, BadRow):
                raise row
            found[index] = texts_of(path, index, row, keys)
    return found


def main() -> None:
    args = parse_args()
    template = load_prompt("web_to_sft", "convert", args.lang, args.prompt_template)
    refusals = read_refusals(args.refusals_path, args, template) if args.refusals_path else []
    pairs = list(read_rows(args.pairs_path))
    web = wanted_rows(
        args.web_path, {pair.get("web57w_idx") for pair in pairs}, (args.web_question_key, args.web_analysis_key)
    )
    clean = wanted_rows(
        args.high_quality_path,
        {pair.get("highquality_idx") for pair in pairs},
        (args.high_quality_question_key, args.high_quality_solution_key),
    )
    inputs = [args.pairs_path, args.web_path, args.high_quality_path]
    refusals_path = [args.refusals_path] if args.refusals_path else []
    with Step([*inputs, *refusals_path], args.save_path, **step_options(args)) as step:
        for index, pair in progress(step.rows(), total=step.total(), unit="pair"):
            try:
                places = need(pair, "web57w_idx", int), need(pair, "highquality_idx", int)
                for place, rows, path in zip(places, (web, clean), inputs[1:], strict=True):
                    if place not in rows:
                        raise BadValue(f"points at row {place}, which {path} does not have")
            except BadValue as problem:
                step.reject(*step.bad_row(index, problem, pair))
                continue
            prompt = converter_prompt(template, *web[places[0]])
            step.write({"instruction": prompt, "output": converter_answer(*clean[places[1]]), **pair})
        for example in refusals:
            step.counts["refusal examples"] += 1
            step.counts["in"] += 1
            step.write(example)


if __name__ == "__main__":
    run_main(main)
