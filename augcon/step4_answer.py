"""AugCon step 4: an answer to each question, from the context that it was asked about.

    python augcon/step4_answer.py --data_path out/filtered.jsonl --save_path out/sft.jsonl \\
        --examples_path augcon/sample/qa_examples.jsonl

in   rows of step 3, or the released filtered_queries.json; a few examples that people wrote:
     {"context": "…", "question": "…", "answer": "…"}
out  {"question": "…", "answer": "…"} root by root, the best questions first; with --provenance whence each comes
     out/sft.examples.jsonl: each example and what the judge said of each set of examples; the best set is shown
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon.answering import Answering, answer_question, answer_request, is_supported, self_contained
from augcon.answers import RELEASED_TOKENS
from augcon.choosing import (
    Examples,
    candidate_sets,
    chosen_examples,
    example_trier,
    numbered_examples,
    read_examples,
)
from augcon.demonstrations import SHOWN
from augcon.prompts import add_prompt_arguments, language, prompt_hashes
from augcon.released_files import as_rows, beside, question_rows
from common.dataset_card import card_files, write_card
from common.errors import AnswerRejected
from common.llm import Ask, Request, add_llm_arguments, ask_rows, llm_options, work_rows
from common.program import make_parser, positive, run_main
from common.rows import input_files, read_rows, refuse_overlap
from common.step import Step, add_step_arguments, map_rows, need, step_options

PROMPTS = ("answer", "judge", "support", "self_contained", "rewrite_question")
PROVENANCE = ("root", "rank", "article", "depth", "score", "lang", "context")


def choose_examples(args: argparse.Namespace, answering: Answering) -> tuple[Examples, dict]:
    """What is shown for each language, and why."""
    if not args.examples_path:
        return {}, {}
    numbered, tried = beside(args.save_path, "numbered"), beside(args.save_path, "examples")
    options = step_options(args) | {"split": None}
    with Step([args.examples_path], numbered, **options) as step:
        map_rows(step, numbered_examples(lambda context: language(context, args.lang)))
    examples = read_examples(numbered)
    if args.demos == "fixed" or args.dry_run:
        return {lang: those[: args.demonstrations] for lang, those in examples.items()}, {"shown": "the first"}
    sets = candidate_sets(examples, args.demos, args.demonstrations, args.candidates, args.seed)
    with Step([numbered], tried, **options) as step:
        work_rows(step, llm_options(args), example_trier(examples, sets, answering))
    return chosen_examples(read_rows(tried), examples, args.demos)


def answerer(args: argparse.Namespace, answering: Answering, shown: Examples, counts: Counter) -> Callable:
    async def work(row: dict, ask: Ask) -> dict:
        context, question, lang = question_of(row, args.lang)
        if args.self_contained:
            asked = question
            question = await self_contained(ask, context, asked, lang, answering, args.self_contained == "rewrite")
            counts["questions rewritten"] += question != asked
        answered = await answer_question(ask, context, question, lang, shown.get(lang, []), answering)
        output = {"question": answered.question, "answer": answered.answer}
        if args.paper_exact:
            return {"context": context} | output
        if args.check_answers:
            output["supported"] = await is_supported(ask, answered, lang, answering)
            counts[f"supported: {output['supported']}"] += 1
            if args.check_answers == "drop" and not output["supported"]:
                raise AnswerRejected("its context does not support the answer", answered.answer)
        if args.messages:
            turns = (("user", answered.question), ("assistant", answered.answer))
            output["messages"] = [{"role": role, "content": text} for role, text in turns]
        return output | ({name: row.get(name) for name in PROVENANCE} if args.provenance else {})

    return work


def question_of(row: dict, lang: str) -> tuple[str, str, str]:
    context = need(row, "context")
    return context, need(row, "question"), row.get("lang") or language(context, lang)


def request_maker(args: argparse.Namespace, answering: Answering, shown: Examples) -> Callable[[dict], Request]:
    """For --dry_run: the first request of each question."""

    def make_request(row: dict) -> Request:
        context, question, lang = question_of(row, args.lang)
        return answer_request(context, question, lang, shown.get(lang, []), answering)

    return make_request


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--data_path",
        default="results/augcon/filtered.jsonl",
        help="questions of step 3, or a released filtered_queries.json",
    )
    parser.add_argument(
        "--save_path", default="results/augcon/sft.jsonl", help="training data; the ending is the format"
    )
    group = parser.add_argument_group("examples")
    group.add_argument("--examples_path", help="5 to 10 examples: context, question, answer; without it none is shown")
    group.add_argument(
        "--demos",
        choices=["search", "bootstrap", "fixed"],
        help="which are shown: the best judged of several sets, the released choice, or the first; without it search, "
        "with --paper_exact bootstrap",
    )
    group.add_argument("--demonstrations", type=positive, default=SHOWN, help="examples shown")
    group.add_argument("--candidates", type=positive, default=16, help="sets of examples that are tried")
    group.add_argument("--seed", type=int, default=0, help="of the draw of these sets")
    group = parser.add_argument_group("answers")
    group.add_argument(
        "--self_contained",
        choices=["drop", "rewrite"],
        help="a question that cannot be understood without its context: drop it, or word it anew first",
    )
    group.add_argument("--no_principles", action="store_true", help="show the examples alone, without instructions")
    group.add_argument("--keep_truncated", action="store_true", help="keep answers that --max_tokens cut off")
    group.add_argument("--keep_refusals", action="store_true", help="keep answers that refuse")
    group.add_argument(
        "--check_answers", choices=["column", "drop"], help="is the answer supported by its context: say so, or drop it"
    )
    group.add_argument("--messages", action="store_true", help="add the two turns as messages")
    group.add_argument("--provenance", action="store_true", help=f"add {', '.join(PROVENANCE)}")
    group.add_argument("--paper_exact", action="store_true", help="ask, read and choose as released: completions, cut")
    add_prompt_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.2)
    args = parser.parse_args()
    if args.self_contained and args.paper_exact:
        parser.error("--self_contained: the released code asks each question as it is")
    args.demos = args.demos or ("bootstrap" if args.paper_exact else "search")
    args.max_tokens = args.max_tokens or (RELEASED_TOKENS if args.paper_exact else 1024)
    return args


def main() -> None:
    args = parse_args()
    answering = Answering(
        attempts=args.max_attempts,
        prompt_folder=args.prompt_folder,
        principles=not args.no_principles,
        keep_truncated=args.keep_truncated,
        keep_refusals=args.keep_refusals,
        paper_exact=args.paper_exact,
        released_tokens=args.max_tokens,
    )
    output = Path(args.save_path)
    reads, writes = [args.examples_path] if args.examples_path else [], card_files(output)
    sides = [beside(output, name) for name in ("numbered", "examples", "from_released")]
    refuse_overlap([file for path in [args.data_path, *reads] for file in input_files(path)], [output, *writes, *sides])
    shown, why = choose_examples(args, answering)
    data_path = as_rows(args.data_path, args.save_path, question_rows)
    with Step([data_path], output, reads=reads, writes=writes, **step_options(args)) as step:
        step.facts |= {"examples": why, "prompts": prompt_hashes(PROMPTS, args.prompt_folder)}
        if args.dry_run:
            ask_rows(step, llm_options(args), request_maker(args, answering, shown), lambda row, answer: row)
        work_rows(step, llm_options(args), answerer(args, answering, shown, step.counts))
    write_card("augcon", output)


if __name__ == "__main__":
    run_main(main)
