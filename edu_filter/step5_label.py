"""edu_filter step 5: which domains and use cases a data set covers, by a model and a list of names.

    python edu_filter/step5_label.py --dataset_path edu_filter/sample/documents.jsonl --output_path out/labels.jsonl

in   {"texto": "La telemedicina permite atender a pacientes que viven lejos. ..."}
out  the same rows with "domains" (["health"]), "use_cases" (["telemedicine"]), "lang", and "other_domains",
     "other_use_cases" where the model names what the list does not hold. --output_path out/usecasesdomains_x_m.json
     writes the released file, {"0": {"domains": "Salud", "use_cases": "Telemedicina"}}, and the rows beside it
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, positive, run_main
from common.rows import read_rows, write_text
from common.step import Step, add_step_arguments, step_options
from edu_filter.asking import (
    Prompts,
    add_document_arguments,
    asked_when_released,
    count_documents,
    document_of,
    documents,
    json_and_rows,
    prompts_of,
)
from edu_filter.labels import (
    KINDS,
    Taxonomy,
    json_schema,
    listed,
    load_taxonomy,
    outside_their_domains,
    parse_labels,
    released_entry,
    released_labels,
)
from edu_filter.sampling import sampler, step_on_documents


def label_requests(prompts: Prompts, column: str, taxonomy: Taxonomy, with_schema: bool) -> Callable[[dict], Request]:
    def make_request(row: dict) -> Request:
        text = document_of(row, column, prompts.paper_exact)
        lang = prompts.language(text)
        none = taxonomy.name("domains", "none", lang)
        request = prompts.request(text, lang, taxonomy=listed(taxonomy, lang), none=none)
        return dataclasses.replace(request, response_format=json_schema(taxonomy, lang)) if with_schema else request

    return make_request


def label_user(step: Step, prompts: Prompts, column: str, taxonomy: Taxonomy) -> Callable[[dict, Answer], dict]:
    """Partial and unknown labels are kept, and counted."""

    def use_answer(row: dict, answer: Answer) -> dict:
        labels = parse_labels(answer.text, taxonomy)
        if answer.finish_reason == "length" and not labels["use_cases"]:
            raise Reject("cut off at max_tokens before the use cases")
        found = {
            "rows with only one of the lists": not (labels["domains"] and labels["use_cases"]),
            "names not in the list": sum(len(labels.get(f"other_{kind}", [])) for kind in KINDS),
            "use cases outside their domains": len(outside_their_domains(labels, taxonomy)),
        }
        step.counts.update({name: count for name, count in found.items() if count})
        return row | labels | {"lang": prompts.language(row[column])}

    return use_answer


def use_released(row: dict, answer: Answer) -> dict:
    domains, use_cases = released_labels(answer.text)
    return row | {"domains": domains, "use_cases": use_cases}


def write_released(path: Path, rows_path: str, taxonomy: Taxonomy) -> None:
    """The released file: names in Spanish, joined by commas."""
    entries = {}
    for row in read_rows(rows_path):
        labelled = isinstance(row["domains"], list)
        entry = released_entry(row, taxonomy) if labelled else {key: row[key] for key in KINDS}
        entries[str(row["row"])] = entry
    write_text(path, json.dumps(entries, ensure_ascii=False, indent=4))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add_document_arguments(parser, "label")
    parser.add_argument("--sample_num", type=positive, help="label so many rows, drawn evenly; without it all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--taxonomy", help="your own domains and use cases, a file like edu_filter/domains.json")
    parser.add_argument("--json_schema", action="store_true", help="ask the server for JSON with names of the list")
    parser.add_argument("--max_model_len", type=int, help="the server's: see the launcher")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0, max_tokens=200)
    args = parser.parse_args()
    if args.paper_exact and not args.prompt_path:
        parser.error("--paper_exact: give the prompt file with --prompt_path; ours are for chats")
    args.json_schema = args.json_schema and not args.paper_exact
    args.model, args.data_path = args.model or args.model_path, documents(args.data_path)
    return args


def main() -> None:
    args = parse_args()
    prompts, options = prompts_of(args, "label"), llm_options(args)
    taxonomy = load_taxonomy(args.taxonomy) if args.taxonomy else load_taxonomy()
    released, rows_path = json_and_rows(args.save_path)
    rows = count_documents(args.data_path, args.split) if args.paper_exact else 0
    asked = asked_when_released(rows, args.batch_size) if args.paper_exact else None
    sample = sampler(args.sample_num, args.seed)
    options_of_step = {"sample": sample, "first": asked, **step_options(args)}
    with step_on_documents(args.data_path, rows_path, released, args.prompt_path, **options_of_step) as step:
        step.facts["prompts"] = prompts.hashes()
        make_request = label_requests(prompts, args.text_column, taxonomy, args.json_schema)
        if args.paper_exact:
            step.counts["left out with the last batch"] = rows - asked
            ask_rows(step, dataclasses.replace(options, max_attempts=1), make_request, use_released)
        else:
            ask_rows(step, options, make_request, label_user(step, prompts, args.text_column, taxonomy))
    if released and asked != 0:
        write_released(released, rows_path, taxonomy)


if __name__ == "__main__":
    run_main(main)
