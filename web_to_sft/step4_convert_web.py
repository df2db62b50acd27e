"""Let the trained converter rewrite every crawled problem. Interrupted, the same command goes on.

    python web_to_sft/step4_convert_web.py --data_path web.jsonl --save_path converted.jsonl --model converter \\
        --base_url http://127.0.0.1:8000/v1

in   crawled rows {"question": "…", "raw_analysis": "…", …}
out  the same rows in the same order, each with what the converter wrote: {"output": "[问题]\\n…\\n\\n[答案]\\n…"}
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.prompts import load_prompt
from common.step import Step, add_step_arguments, step_options
from web_to_sft.conversions import converter_prompt
from web_to_sft.inputs import add_column_arguments, text_of


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="crawled problems")
    parser.add_argument("--save_path", required=True, help="the same with the converter's text")
    parser.add_argument("--response_key", default="output", help="column of the converter's text")
    parser.add_argument("--lang", default="zh", help="language of the prompt, as in step 2")
    parser.add_argument("--prompt_path", help="the file that step 2 was given, if any")
    parser.add_argument(
        "--paper_exact",
        action="store_true",
        help="the model's own sampling settings instead of --temperature, and empty answers kept, as released",
    )
    add_column_arguments(parser, "web_question_key", "web_analysis_key")
    add_step_arguments(parser)
    # Greedy, where the released code leaves sampling on and gives other texts at every run.
    add_llm_arguments(parser, temperature=0.0, max_tokens=1024)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    template = load_prompt("web_to_sft", "convert", args.lang, args.prompt_path)
    llm = llm_options(args)
    if args.paper_exact:
        llm = replace(llm, sampling={key: value for key, value in llm.sampling.items() if key != "temperature"})

    def make_request(row: dict) -> Request:
        prompt = converter_prompt(template, text_of(row, args.web_question_key), text_of(row, args.web_analysis_key))
        return Request(messages=[{"role": "user", "content": prompt}])

    def use_answer(row: dict, answer: Answer) -> dict:
        if not (args.paper_exact or answer.text.strip()):
            raise Reject("empty answer")
        return row | {args.response_key: answer.text}

    options = step_options(args) | {"reads": [args.prompt_path] if args.prompt_path else []}
    with Step([args.data_path], args.save_path, **options) as step:
        ask_rows(step, llm, make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
