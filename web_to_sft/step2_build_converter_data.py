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
from common.program import make_parser, run_main
from common.prompts import load_prompt
from common.rows import read_rows, rows_at
from common.step import Step, add_step_arguments, map_rows, need, step_options
from web_to_sft.conversions import NOT_MATHS, UNREADABLE, converter_answer, converter_prompt
from web_to_sft.inputs import add_column_arguments, split_of, texts_of

REFUSALS = {"not_maths": NOT_MATHS, "unreadable": UNREADABLE}


def refusal_examples(path: str, keys: tuple[str, str], template: str, split: str | None) -> list[dict]:
    """Rows {"question", "raw_analysis", "refusal": "not_maths" | "unreadable"} as examples of saying no.

    The released prompt promises both refusals, but no example ever shows one.
    """
    examples = []
    for index, row in enumerate(read_rows(path, split_of(path, split))):
        if row.get("refusal") not in REFUSALS:
            raise BadRow(path, index, f'"refusal" is {row.get("refusal")!r}, expected not_maths or unreadable')
        prompt = converter_prompt(template, *texts_of(path, index, row, keys))
        examples.append({"instruction": prompt, "output": REFUSALS[row["refusal"]]})
    return examples


def texts_at(path: str, wanted: set[int], keys: tuple[str, str], split: str | None) -> dict[int, tuple[str, str]]:
    """The two texts of each row that a pair points at."""
    return {
        index: texts_of(path, index, row, keys) for index, row in rows_at(path, wanted, split_of(path, split)).items()
    }


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--pairs_path", required=True, help="output of step 1")
    parser.add_argument("--web_path", required=True, help="the crawled problems that step 1 read")
    parser.add_argument("--high_quality_path", required=True, help="the clean problems that step 1 read")
    parser.add_argument("--save_path", required=True, help="examples for step 3")
    parser.add_argument("--refusals_path", help='rows with "refusal": not_maths | unreadable, added at the end')
    parser.add_argument("--lang", default="zh", help="language of the prompt")
    parser.add_argument("--prompt_path", help="file with {question} and {analysis}, instead of our prompt")
    parser.add_argument("--paper_exact", action="store_true", help="rows without the two indices, as released")
    add_column_arguments(parser)
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    template = load_prompt("web_to_sft", "convert", args.lang, args.prompt_path)
    web_keys = args.web_question_key, args.web_analysis_key
    clean_keys = args.high_quality_question_key, args.high_quality_solution_key
    split = split_of(args.pairs_path, args.split)
    refusals = refusal_examples(args.refusals_path, web_keys, template, args.split) if args.refusals_path else []
    pairs = list(read_rows(args.pairs_path, split))
    web = texts_at(args.web_path, {pair.get("web57w_idx") for pair in pairs}, web_keys, args.split)
    clean = texts_at(args.high_quality_path, {pair.get("highquality_idx") for pair in pairs}, clean_keys, args.split)

    def example(pair: dict) -> dict:
        texts = []
        for key, rows, path in (("web57w_idx", web, args.web_path), ("highquality_idx", clean, args.high_quality_path)):
            if (place := need(pair, key, int)) not in rows:
                raise BadValue(f"points at row {place}, which {path} does not have")
            texts.append(rows[place])
        built = {"instruction": converter_prompt(template, *texts[0]), "output": converter_answer(*texts[1])}
        return built if args.paper_exact else built | pair

    files = [args.refusals_path, args.prompt_path]
    inputs = [args.pairs_path, args.web_path, args.high_quality_path]
    options = step_options(args) | {"split": split, "reads": [file for file in files if file]}
    with Step(inputs, args.save_path, **options) as step:
        map_rows(step, example)
        for refusal in refusals:
            step.counts["in"] += 1
            step.counts["refusal examples"] += 1
            step.write(refusal)


if __name__ == "__main__":
    run_main(main)
