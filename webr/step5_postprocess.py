"""WebR step 5: from requests and responses to a deduplicated instruction-tuning set.

    python webr/step5_postprocess.py --WI_data_paths refined.jsonl --WR_data_paths refined.jsonl \
        --tokenizer_model_name meta-llama/Meta-Llama-3-8B --save_num 100000 --save_name webr_100k

in   the rows of step 4; a row's "kind" says whether it is web as instruction or web as response
out  <save_name>.parquet and .jsonl: {"prompt_id", "messages": [{"role": "user", ...}, {"role": "assistant", ...}]},
     dataset_info.json (LLaMA-Factory), README.md (dataset card), and <save_name>.report.html to look at
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from common import manifest
from common.errors import BadInput
from common.report import Stage, bars, funnel, histogram, samples, section, write_report
from common.rows import read_rows, write_rows, write_text
from common.step import Step, add_step_arguments, progress, run_main
from webr.clean_up import is_refusal, without_improvement_note
from webr.guards import Limits, find_fault
from webr.near_duplicates import find_near_duplicates
from webr.sections import draws

INSTRUCTION_SHARE = 2 / 3  # web as instruction : web as response = 2 : 1


class Candidate(NamedTuple):
    index: int
    row: dict


def candidates(paths: dict[str, list[str]], step: Step) -> Iterator[tuple[str, Candidate]]:
    """("WI" or "WR", row) of all files; a file named for both is read once, and its rows say what they are."""
    for path in dict.fromkeys(paths["WI"] + paths["WR"]):
        named = [kind for kind in ("WI", "WR") if path in paths[kind]]
        for row in read_rows(path):
            kind = str(row.get("kind", named[0]))[:2]
            if "kind" not in row and len(named) > 1:
                raise BadInput(f"{path}: is given for WI and WR, but row {step.counts['in']} has no 'kind'")
            candidate = Candidate(step.counts["in"], row)
            step.counts["in"] += 1
            yield kind, candidate


def fault_of(row: dict, limits: Limits | None) -> str | None:
    """Why a row will not do; without limits (as released) only what is empty or an apology."""
    request, response = row.get("request"), row.get("response")
    if not request or not response:
        return "no request or no response"
    if is_refusal(response, as_released=limits is None):
        return "refusal"
    page = row.get("section") or row.get("webpage") or ""
    return find_fault(request, response, page, row.get("lang", "und"), limits) if limits else None


def repeated(lists: dict[str, list[Candidate]], token_ids: Callable[[str], list[int]], args) -> dict[int, int]:
    """Rows whose request nearly repeats that of an earlier row: index -> index of that row."""
    groups = [lists["WI"] + lists["WR"]] if args.across else [lists["WI"], lists["WR"]]
    found = {}
    for group in groups:
        ids = (token_ids(candidate.row["request"]) for candidate in progress(group, desc="requests", unit="request"))
        for candidate, first in zip(group, find_near_duplicates(ids, as_released=args.paper_exact), strict=True):
            if first >= 0:
                found[candidate.index] = group[first].index
    return found


def quotas(accepted: dict[str, int], wanted: int | None, paper_exact: bool) -> dict[str, int]:
    """How many of each kind: as asked for, else as many as the ratio of 2 : 1 allows."""
    if wanted is None:
        responses = min(accepted["WR"], accepted["WI"] // 2)
        return {"WI": 2 * responses, "WR": responses}
    if paper_exact:  # rounds both down, so that 100,000 are 99,999
        return {"WI": min(accepted["WI"], 2 * wanted // 3), "WR": min(accepted["WR"], wanted // 3)}
    instructions = round(wanted * INSTRUCTION_SHARE)
    return {"WI": instructions, "WR": wanted - instructions}


def messages(kind: str, row: dict, args: argparse.Namespace) -> list[dict]:
    request, response = row["request"], row["response"]
    if kind == "WI":
        page = row.get("section") or row["webpage"]
        turn = [page, request]
        draws(args.seed, page, "turn").shuffle(turn)
        user = "\n\n".join(turn)
    else:
        user, response = request, without_improvement_note(response, args.paper_exact)
    return [{"role": "user", "content": user}, {"role": "assistant", "content": response}]


def finished(kind: str, row: dict, args: argparse.Namespace) -> dict:
    turns = messages(kind, row, args)
    return {"prompt_id": manifest.hash_text(turns[0]["content"]), "messages": turns}


# ---------------------------------------------------------------- beside the data


def write_dataset_info(save_name: Path) -> None:
    path = save_name.parent / "dataset_info.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[save_name.name] = {
        "file_name": f"{save_name.name}.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }
    write_text(path, json.dumps(known, indent=2) + "\n")


def write_card(save_name: Path, rows: int, counts: Counter, args: argparse.Namespace) -> None:
    reasons = "\n".join(f"| {reason} | {count:,} |" for reason, count in counts.most_common())
    write_text(
        save_name.parent / "README.md",
        "---\nconfigs:\n- config_name: default\n"
        f"  data_files: {save_name.name}.parquet\n---\n"
        f"# {save_name.name}\n\n"
        f"{rows:,} conversations of one request and one response, rebuilt from web pages with WebR "
        "(arXiv 2504.15573).\n\n"
        "| set aside | rows |\n|---|---|\n" + reasons + "\n\n"
        f"Requests compared by the tokens of `{args.tokenizer_model_name}`. Model, settings and file hashes of every "
        "step are in the manifests beside the files.\n",
    )


def write_page(save_name: Path, stages: list[Stage], chosen: list[tuple[str, Candidate]], pairs: list[dict]) -> None:
    kinds = Counter(str(candidate.row.get("kind", kind)) for kind, candidate in chosen)
    drawn = random.Random(0).sample(chosen, min(8, len(chosen)))
    longest = sorted(chosen, key=lambda item: -len(item[1].row["response"]))[:3]

    def card(kind: str, row: dict) -> dict[str, str]:
        texts = {"page": row.get("section", ""), "request": row["request"], "response": row["response"]}
        return {"#kind": str(row.get("kind", kind)), "#language": str(row.get("lang", ""))} | texts

    write_report(
        f"{save_name}.report.html",
        f"WebR: {save_name.name}",
        f"{len(chosen):,} conversations",
        [
            section("Where the rows went", funnel(stages)),
            section("Kinds", bars(dict(kinds))),
            section(
                "Lengths",
                histogram("requests", [len(candidate.row["request"]) for _, candidate in chosen], "characters"),
                histogram("responses", [len(candidate.row["response"]) for _, candidate in chosen], "characters"),
            ),
            section("Near-duplicate requests", samples(pairs), note="What went, and the request it repeats."),
            section("Longest responses", samples(card(kind, candidate.row) for kind, candidate in longest)),
            section("Samples", samples(card(kind, candidate.row) for kind, candidate in drawn)),
        ],
    )


# ---------------------------------------------------------------- command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--WI_data_paths", nargs="+", required=True, help="files with web-as-instruction rows")
    parser.add_argument("--WR_data_paths", nargs="+", required=True, help="files with web-as-response rows")
    parser.add_argument("--tokenizer_model_name", required=True, help="tokenizer of the model to be trained")
    parser.add_argument("--save_name", required=True, help="path of the result, without an ending")
    parser.add_argument("--save_num", type=int, help="exactly so many rows (default: all that 2 : 1 allows)")
    parser.add_argument("--seed", type=int, default=0, help="of shuffling and turn order (default: 0)")
    parser.add_argument("--across", action="store_true", help="look for near-duplicates across WI and WR, too")
    parser.add_argument("--paper_exact", action="store_true", help="filters, deduplication and sizes as released")
    group = parser.add_argument_group("guards")
    group.add_argument("--any_language", action="store_true", help="keep answers in another language than the page")
    group.add_argument(
        "--max_copied", type=float, default=0.8, help="share of 8-grams from the page (default: 0.8; 1: any)"
    )
    group.add_argument("--min_request_chars", type=int, default=10, help="(default: 10)")
    group.add_argument("--min_response_chars", type=int, default=20, help="(default: 20)")
    group.add_argument("--max_response_chars", type=int, default=0, help="(default: 0, no limit)")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    from transformers import AutoTokenizer

    args = parse_args()
    save_name = Path(args.save_name)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer_model_name)
    limits = Limits(
        not args.any_language, args.max_copied, args.min_request_chars, args.min_response_chars, args.max_response_chars
    )
    paths = {"WI": args.WI_data_paths, "WR": args.WR_data_paths}
    with Step(args, list(dict.fromkeys(paths["WI"] + paths["WR"])), f"{save_name}.jsonl") as step:
        lists: dict[str, list[Candidate]] = {"WI": [], "WR": []}
        faults: Counter[str] = Counter()
        for kind, candidate in candidates(paths, step):
            if fault := fault_of(candidate.row, None if args.paper_exact else limits):
                faults[fault] += 1
                step.reject(candidate.index, fault, candidate.row)
            else:
                lists[kind].append(candidate)
        usable = {candidate.index: candidate.row for group in lists.values() for candidate in group}
        repeats = repeated(lists, lambda text: tokenizer.encode(text), args)
        for index, first in repeats.items():
            step.reject(index, f"request nearly repeats that of row {first}", usable[index])
        accepted = {kind: [c for c in group if c.index not in repeats] for kind, group in lists.items()}
        sizes = {kind: len(group) for kind, group in accepted.items()}
        wanted = quotas(sizes, args.save_num, args.paper_exact)
        if any(sizes[kind] < wanted[kind] for kind in wanted):
            more = max(wanted[kind] / max(1, sizes[kind]) for kind in wanted)
            raise BadInput(
                f"--save_num {args.save_num:,} takes {wanted['WI']:,} WI and {wanted['WR']:,} WR rows; accepted are "
                f"{sizes['WI']:,} and {sizes['WR']:,}: start from about {more:.1f} times as many pages"
            )
        chosen = []
        for kind, group in accepted.items():
            random.Random(f"{args.seed} {kind}").shuffle(group)
            chosen += [(kind, candidate) for candidate in group[: wanted[kind]]]
        random.Random(args.seed).shuffle(chosen)
        for kind, candidate in chosen:
            step.write(finished(kind, candidate.row, args))
        left_over = len(usable) - len(repeats) - len(chosen)
        step.counts.update({"left over": left_over, "done": left_over})
    write_rows(f"{save_name}.parquet", read_rows(f"{save_name}.jsonl"))
    write_dataset_info(save_name)
    gone = faults + Counter({"near-duplicate request": len(repeats), "more than were wanted": left_over})
    write_card(save_name, len(chosen), gone, args)
    stages = [
        Stage("rows", step.counts["in"]),
        Stage("usable", len(usable), faults),
        Stage("different", len(usable) - len(repeats), {"near-duplicate request": len(repeats)}),
        Stage("in the set", len(chosen), {"more than were wanted": left_over}),
    ]
    pairs = [
        {"request": usable[index]["request"], f"repeats row {first}": usable[first]["request"]}
        for index, first in list(repeats.items())[:10]
    ]
    write_page(save_name, stages, chosen, pairs)


if __name__ == "__main__":
    run_main(main)
