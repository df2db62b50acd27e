"""WebR step 4: web as response: the draft is improved with what the page says. Other rows pass as they are.

    python webr/step4_refine_responses.py --data_path responses.jsonl --save_path refined.jsonl

in   the rows of step 3
out  the same; for web as response "response" is the improved one, "draft" the one before
"""

import argparse

from common.errors import Reject
from common.llm import AnswerRejected, Ask, Request, add_llm_arguments, work_rows
from common.prompts import fill
from common.step import Step, add_step_arguments, need, run_main
from webr.languages import NAMES
from webr.step1_infer_author import prompt_for
from webr.step3_make_responses import checked_response


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="rows with responses, from step 3")
    parser.add_argument("--save_path", required=True, help="rows with final responses (.jsonl)")
    parser.add_argument("--prompt_path", help="a prompt file of your own, with {page}, {request}, {draft}, {language}")
    parser.add_argument("--paper_exact", action="store_true", help="clean-up rules as released")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.6, top_p=0.9, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    def refinement(row: dict) -> Request:
        lang = row.get("lang", "en")
        values = {"page": need(row, "section"), "request": need(row, "request"), "draft": need(row, "response")}
        text = fill(prompt_for("refine", lang, args.prompt_path), language=NAMES.get(lang, lang), **values)
        return Request(messages=[{"role": "user", "content": text}])

    async def work(row: dict, ask: Ask) -> dict:
        if need(row, "kind").startswith("WI"):
            return row
        request = refinement(row)
        for sample in range(args.max_attempts):
            answer = await ask(request, sample)
            try:
                return row | {"draft": row["response"], "response": checked_response(answer, args.paper_exact)}
            except Reject as why:
                rejected = AnswerRejected(why.reason, answer.text)
        raise rejected

    with Step(args, [args.data_path], args.save_path) as step:
        work_rows(step, args, work)


if __name__ == "__main__":
    run_main(main)
