"""edu_filter step 1: a model rates the educational value of documents from 0 to 5, and says why.

    python edu_filter/step1_rate.py --dataset_path edu_filter/sample/documents.jsonl --output_path out/ratings.jsonl

in   {"texto": "La célula es la unidad básica de los seres vivos. ..."}
out  the same rows with "rating" (3.5), "int_rating" (4), "reason", "lang", "rater" and "rated_chars"; documents without
     a rating are in out/ratings.jsonl.rejected.jsonl with the reply. --output_path out/ratings.json writes the released
     file, {"0": {"Score": "3.5", "Prompt": "La célula ..."}}, and the rows beside it
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options, work_rows
from common.program import make_parser, positive, run_main
from common.rows import read_rows, write_text
from common.step import add_step_arguments, step_options
from edu_filter.asking import (
    RELEASED_COLUMN,
    add_document_arguments,
    asked_when_released,
    count_documents,
    document_of,
    documents,
    json_and_rows,
    prompts_of,
)
from edu_filter.rater import rate
from edu_filter.ratings import JSON_SCHEMA, released_json, released_rating
from edu_filter.sampling import sampler, step_on_documents


def use_released(row: dict, answer: Answer) -> dict:
    rating = released_rating(answer.text)
    if rating is None:
        raise Reject("no rating of the released form")
    return row | {"rating": rating}


def write_released(path: Path, rows_path: str, column: str, key: str) -> None:
    """The released file; its row numbers are those of the input."""
    entries = ((row["row"], {"Score": _text(row[key]), "Prompt": row[column]}) for row in read_rows(rows_path))
    write_text(path, released_json(entries))


def _text(rating: float | str) -> str:
    return rating if isinstance(rating, str) else f"{rating:g}"


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add_document_arguments(parser, "rate")
    group = parser.add_argument_group("rating")
    group.add_argument("--rubric", choices=["points", "levels"], default="points", help="points added up, or levels")
    group.add_argument("--rating_key", default="rating", help="key of the rating, of another rubric than the first")
    group.add_argument("--sample_num", type=positive, help="rate so many rows, drawn evenly; without it all")
    group.add_argument("--sample_by_lang", action="store_true", help="as many rows of each language, as far as they go")
    group.add_argument("--seed", type=int, default=0, help="of the sample")
    group.add_argument("--json_schema", action="store_true", help="ask the server for JSON: reason and score")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=512)
    args = parser.parse_args()
    if args.paper_exact and not args.prompt_path:
        parser.error("--paper_exact: give the prompt file with --prompt_path; ours are for chats")
    args.model, args.data_path = args.model or args.model_path, documents(args.data_path)
    args.rating_key = "rating" if args.paper_exact else args.rating_key
    args.text_column = RELEASED_COLUMN if args.paper_exact else args.text_column  # read whatever the flag says
    return args


def main() -> None:
    args = parse_args()
    prompts = prompts_of(args, "rate" if args.rubric == "points" else "rate_levels")
    prompts = dataclasses.replace(prompts, response_format=JSON_SCHEMA if args.json_schema else None)
    released, rows_path = json_and_rows(args.save_path)
    rows = count_documents(args.data_path, args.split) if args.paper_exact else 0
    asked = asked_when_released(rows, args.batch_size) if args.paper_exact else None
    sample = sampler(args.sample_num, args.seed, args.text_column if args.sample_by_lang else None)
    options = llm_options(args)
    options_of_step = {"sample": sample, "first": asked, **step_options(args)}
    with step_on_documents(args.data_path, rows_path, released, args.prompt_path, **options_of_step) as step:
        step.facts["prompts"] = prompts.hashes()

        def make_request(row: dict) -> Request:
            text = document_of(row, args.text_column, args.paper_exact)
            return prompts.request(text, prompts.language(text))

        if args.paper_exact:
            step.counts["left out with the last batch"] = rows - asked
            ask_rows(step, dataclasses.replace(options, max_attempts=1), make_request, use_released)
        elif args.dry_run:
            ask_rows(step, options, make_request, use_released)
        else:
            work_rows(
                step,
                options,
                rate(prompts, args.text_column, args.rating_key, args.model, args.max_tokens, args.max_attempts),
            )
    if released and asked != 0:
        write_released(released, rows_path, args.text_column, args.rating_key)


if __name__ == "__main__":
    run_main(main)
