"""Several methods' outputs beside one another: the parts of eval/compare_methods.sh, which runs the methods.

    python eval/compare_methods.py corpus --data_path webr/sample/pages.jsonl --save_path out/corpus
    python eval/compare_methods.py outputs --folder out --model_name_or_path small_model --outputs webr=out/webr.jsonl
    python eval/compare_methods.py report --folder out --model gpt-4o --save_path out/r.html --methods webr=out/webr

corpus   rows with a text (--text_column) become out/corpus/pages.jsonl, which each method reads as its own; rows with
         "question" and "raw_analysis" become out/corpus/pairs.jsonl, for web_to_sft
outputs  each method's training rows, in any form of common/conversations.py, become out/NAME.all/rows.jsonl,
         {"instruction", "output", "text"}, and out/NAME.equal.jsonl, cut at random to --budget tokens: as many for each
report   one page and report.json beside it, from these and from what the launcher left in --folder
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import report
from common.conversations import as_messages
from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import read_rows, refuse_overlap, write_rows, write_text
from eval.output_figures import cut_to, distinct, near_repeats, quartiles, set_aside, spent

STEPS = 12  # of a distribution that is drawn
PAIR = {"question", "raw_analysis"}


def split_corpus(data_path: str, text_column: str, folder: Path) -> None:
    rows = list(read_rows(data_path))
    refuse_overlap([data_path], [folder / "pages.jsonl", folder / "pairs.jsonl"])
    pairs = [row for row in rows if row.keys() >= PAIR]
    texts = [row[text_column] for row in rows if isinstance(row.get(text_column), str) and row[text_column].strip()]
    if not texts:
        raise BadInput(f"{data_path}: no row has a text in {text_column!r} (--text_column)")
    # The same text under the name by which each method asks for it.
    write_rows(folder / "pages.jsonl", [{"webpage": text, "article": text} for text in texts])
    if pairs:
        write_rows(folder / "pairs.jsonl", pairs)
    print(f"{folder}: {len(texts):,} texts, {len(pairs):,} question-answer pairs")


def as_pair(row: dict) -> dict[str, str]:
    """The first request and its answer, in one form for all methods."""
    keys = ("question", "answer") if "answer" in row else ("instruction", "output")
    turns = {}
    for message in as_messages(row, *keys):
        turns.setdefault(message["role"], message["content"])
    instruction, output = turns.get("user", ""), turns.get("assistant", "")
    return {"instruction": instruction, "output": output, "text": f"{instruction}\n{output}"}


def tokenize(rows: list[dict], tokenizer: Any) -> list[list[int]]:
    return [tokenizer.encode(row["text"], add_special_tokens=False) for row in rows]


def load_tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"--model_name_or_path {name}: {error}") from None


def named(words: list[str]) -> dict[str, Path]:
    return {name: Path(path) for name, _, path in (word.partition("=") for word in words)}


def take_outputs(args: argparse.Namespace) -> None:
    """In one form, and cut to the same number of tokens; a method that left nothing is left out."""
    folder, tokenizer = Path(args.folder), load_tokenizer(args.model_name_or_path)
    rows = {
        name: [as_pair(row) for row in read_rows(path)] for name, path in named(args.outputs).items() if path.exists()
    }
    rows = {name: found for name, found in rows.items() if found}
    if not rows:
        raise BadInput("no method left any rows: " + ", ".join(args.outputs))
    lengths = {name: list(map(len, tokenize(found, tokenizer))) for name, found in rows.items()}
    budget = args.budget or min(map(sum, lengths.values()))
    for name, found in rows.items():
        write_rows(folder / f"{name}.all" / "rows.jsonl", found)
        write_rows(folder / f"{name}.equal.jsonl", cut_to(found, lengths[name], budget, args.seed))
    write_text(folder / "budget.json", json.dumps({"tokens": budget, "tokenizer": args.model_name_or_path}) + "\n")
    print(f"{folder}: {budget:,} tokens of each of {', '.join(rows)}")


def ifd_of(path: Path) -> list[float]:
    """Perplexity behind the prompt over that alone; what has no score is left out."""
    rows = (row for row in read_rows(path, allow_nan=True) if "ppl" in row)
    return [row["ppl"][3] / row["ppl"][1] for row in rows if row["ppl"][1]]


def loss_of(path: Path) -> float | None:
    """Of the reference answers behind their questions, a token."""
    rows = [(row["loss"][3], row["tokens"]) for row in read_rows(path, allow_nan=True) if "loss" in row]
    tokens = sum(count for _, count in rows)
    return round(sum(loss * count for loss, count in rows) / tokens, 4) if tokens else None


def figures_of(folder: Path, name: str, runs: list[Path], tokenizer: Any) -> dict[str, Any]:
    """All that is known of one method; values that only the page draws begin with "_"."""
    rows, equal = (list(read_rows(folder / place)) for place in (f"{name}.all/rows.jsonl", f"{name}.equal.jsonl"))
    tokens, equal_tokens = tokenize(rows, tokenizer), tokenize(equal, tokenizer)
    lengths = [len(tokenizer.encode(row["output"], add_special_tokens=False)) for row in rows]
    ifd, edu = ifd_of(folder / f"{name}.ifd.jsonl"), edu_of(folder / f"{name}.edu")
    return {
        "rows": len(rows),
        "tokens": sum(map(len, tokens)),
        **spent(*runs),
        "set_aside": dict(set_aside(*runs).most_common()),
        "answer_tokens": quartiles(lengths),
        "distinct": {str(n): round(distinct(equal_tokens, n), 4) for n in (1, 2, 3)},
        "near_repeats": near_repeats([row["instruction"] for row in rows]),
        "ifd": quartiles(ifd),
        "edu": quartiles(edu),
        "trained_on": {"rows": len(equal), "tokens": sum(map(len, equal_tokens))},
        **judged(folder, name),
        "_lengths": lengths,
        "_ifd": ifd,
        "_edu": edu,
    }


def edu_of(folder: Path) -> list[float]:
    return [row["score"] for path in sorted(folder.glob("rows.jsonl")) for row in read_rows(path)]


def judged(folder: Path, name: str) -> dict[str, Any]:
    """The trained model on the questions: its loss on their answers; a judge's marks where there was a judge."""
    loss, marks = folder / f"{name}.reference.jsonl", folder / f"{name}.marks.jsonl"
    found = {"reference_loss": loss_of(loss) if loss.exists() else None}
    if marks.exists():
        satisfaction = [row["marks"]["satisfaction"] for row in read_rows(marks)]
        found["satisfaction"] = round(sum(satisfaction) / len(satisfaction), 3) if satisfaction else None
    return found


def write_report(args: argparse.Namespace) -> None:
    folder = Path(args.folder)
    budget = json.loads((folder / "budget.json").read_text(encoding="utf-8"))
    tokenizer = load_tokenizer(budget["tokenizer"])
    runs = {name: [Path(part) for part in str(paths).split(",")] for name, paths in named(args.methods).items()}
    found = {
        name: figures_of(folder, name, paths, tokenizer)
        for name, paths in runs.items()
        if (folder / f"{name}.all" / "rows.jsonl").exists()
    }
    untrained = judged(folder, "untrained")
    tried = [name for name, paths in runs.items() if any(path.exists() for path in paths)]
    notes = [f"{name}: left no rows." for name in tried if name not in found] + (args.note or [])
    shown = {name: {key: value for key, value in one.items() if key[0] != "_"} for name, one in found.items()}
    result = {"model": args.model, "budget": budget["tokens"], "methods": shown, "untrained": untrained, "notes": notes}
    page = Path(args.save_path)
    write_text(page.with_suffix(".json"), json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    subtitle = f"one corpus, one model ({args.model}), {budget['tokens']:,} training tokens each"
    report.write_report(page, "Methods side by side", subtitle, sections(found, untrained, notes, folder))
    print(f"{page}: written, and {page.with_suffix('.json').name}")


def sections(found: dict[str, dict], untrained: dict, notes: list[str], folder: Path) -> list[str]:
    made = [
        [name, one["rows"], one["tokens"], one["requests"], one["tokens_in"], one["tokens_out"]]
        + [per_row(one["tokens_in"] + one["tokens_out"], one["tokens"]), shown(one["cost"]), one["seconds"]]
        for name, one in found.items()
    ]
    header = ["method", "rows", "their tokens", "requests", "tokens in", "tokens out"]
    header += ["paid for each token kept", "cost", "seconds"]
    variety = [[name, *one["distinct"].values(), one["near_repeats"], *medians(one)] for name, one in found.items()]
    trained = [["untrained", "–", "–", shown(untrained["reference_loss"]), shown(untrained.get("satisfaction"))]]
    trained += [
        [name, one["trained_on"]["rows"], one["trained_on"]["tokens"]]
        + [shown(one["reference_loss"]), shown(one.get("satisfaction"))]
        for name, one in found.items()
    ]
    return [
        report.section("What was made, and what it took", report.table(header, made), note=" ".join(notes)),
        report.section(
            "What was set aside",
            *(
                report.section(name, report.bars(dict(list(one["set_aside"].items())[:8])))
                for name, one in found.items()
            ),
            note="By any step, with the reason; superfiltering's begin with those of webr, whose rows it selects from.",
        ),
        report.section(
            "Variety and quality",
            report.table(
                ["method", "distinct tokens", "distinct pairs", "distinct triples", "requests that nearly repeat one"]
                + ["median answer, tokens", "median IFD", "median edu score"],
                variety,
            ),
            report.side_by_side(
                distribution("Length of an answer, tokens", {name: one["_lengths"] for name, one in found.items()}),
                distribution("IFD", {name: one["_ifd"] for name, one in found.items()}),
                distribution("Edu score", {name: one["_edu"] for name, one in found.items()}),
            ),
            note="Distinct: shares, at equal tokens. IFD: how much the request helps with the answer (near 1: "
            "little). Edu score: by the head that edu_filter trained on this corpus.",
        ),
        report.section(
            "A small model trained on each",
            report.table(["trained on", "rows", "tokens", "loss on the reference answers", "judge's marks"], trained),
            note="The same start, tokens and questions. A lower loss is better. Marks go from 1 to 5; "
            "there are none where the stand-in would judge, because rules judge nothing.",
        ),
        report.section(
            "Three rows of each",
            *(report.samples([{"#method": name} | pair for pair in first_pairs(folder, name)]) for name in found),
        ),
    ]


def distribution(title: str, groups: dict[str, list[float]]) -> str:
    """Shares of each method's rows, over the same steps for all: they hold the middle 98 % of all values."""
    ordered = sorted(value for values in groups.values() for value in values)
    if not ordered:
        return report.curve(title, {}, "")
    low, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.01, 0.99))
    step = (high - low) / STEPS or 1
    lines = {}
    for name, values in groups.items():
        counts = [0] * STEPS
        for value in values:
            counts[max(0, min(STEPS - 1, int((value - low) / step)))] += 1
        lines[name] = [(low + (place + 0.5) * step, count / len(values)) for place, count in enumerate(counts)]
    return report.curve(
        title, {name: line for name, line in lines.items() if groups[name]}, "share of each method's rows"
    )


def most_frequent(reasons: dict[str, int], count: int = 8) -> dict[str, int]:
    return dict(list(reasons.items())[:count])


def medians(one: dict) -> list[object]:
    return [shown(one[key] and one[key]["median"]) for key in ("answer_tokens", "ifd", "edu")]


def shown(value: float | None) -> float | str:
    return "–" if value is None else value


def per_row(paid: int, kept: int) -> float:
    return round(paid / kept, 1) if kept else 0.0


def first_pairs(folder: Path, name: str) -> list[dict]:
    rows = zip(read_rows(folder / f"{name}.all" / "rows.jsonl"), range(3), strict=False)
    return [{"instruction": row["instruction"], "output": row["output"]} for row, _ in rows]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("corpus", help="the texts, for all methods")
    part.add_argument("--data_path", required=True, help="rows with a text, in any format")
    part.add_argument("--text_column", default="webpage", help="key of the text")
    part.add_argument("--save_path", required=True, help="folder to write")
    part = parts.add_parser("outputs", help="the methods' rows in one form, and cut to equal tokens")
    part.add_argument("--folder", required=True, help="folder of the comparison")
    part.add_argument("--outputs", nargs="+", required=True, metavar="NAME=FILE", help="training rows of each method")
    part.add_argument("--model_name_or_path", required=True, help="whose tokens are counted: the model to train")
    part.add_argument("--budget", type=int, default=0, help="tokens of each; 0: as many as the smallest output has")
    part.add_argument("--seed", type=int, default=0, help="of the rows that are cut away")
    part = parts.add_parser("report", help="one page, one JSON")
    part.add_argument("--folder", required=True, help="folder of the comparison")
    part.add_argument("--save_path", required=True, help="the page (.html); the JSON lies beside it")
    part.add_argument(
        "--methods", nargs="+", required=True, metavar="NAME=RUN", help="each method's folders, with commas"
    )
    part.add_argument("--model", required=True, help="the one model's name, for the page")
    part.add_argument("--note", action="append", help="a sentence for the page: what did not apply, and why")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.part == "corpus":
        split_corpus(args.data_path, args.text_column, Path(args.save_path))
    else:
        {"outputs": take_outputs, "report": write_report}[args.part](args)


if __name__ == "__main__":
    run_main(main)
