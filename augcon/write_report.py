"""One HTML page on a whole AugCon run: trees, quotas, how detailed the questions are, what was dropped, samples.

    python augcon/write_report.py --folder out --save_path out/report.html

in   the folder of a run: questions.jsonl, and what there is of filtered.jsonl and its side files, sft.jsonl, scorer
out  one file that opens from disk, without network or scripts
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon.granularity import LEVELS, coverage, level
from common import manifest, report
from common.errors import BadInput
from common.program import make_parser, positive, run_main
from common.rows import count_rows, read_rows, refuse_overlap

STEPS = ("questions", "questions.pairs", "filtered", "sft.examples", "sft")
ROOTS_READ = 2000  # for the coverage of sentences


def rows_of(folder: Path, name: str) -> Iterator[dict]:
    path = folder / f"{name}.jsonl"
    return read_rows(path, allow_nan=True) if path.exists() else iter(())


class Trees:
    """What the report shows of the questions that were grown, gathered in one pass."""

    def __init__(self, folder: Path, shown: int, seed: int) -> None:
        roots = count_rows(folder / "questions.jsonl")
        wanted = set(random.Random(seed).sample(range(roots), min(shown, roots)))
        self.roots = self.quota = self.questions = self.requested = 0
        self.depths, self.ended, self.levels = Counter(), Counter(), Counter()
        self.quotas: list[int] = []
        self.grown: list[int] = []
        self.lengths: list[int] = []
        self.samples: list[dict] = []
        for place, row in enumerate(rows_of(folder, "questions")):
            nodes = row["questions"]
            self.roots, self.quota, self.questions = (
                self.roots + 1,
                self.quota + row["quota"],
                self.questions + len(nodes),
            )
            self.requested += row.get("asked", 0)
            self.quotas.append(row["quota"])
            self.grown.append(len(nodes))
            self.lengths += [len(node["context"]) for node in nodes]
            self.depths.update(node.get("depth", 0) for node in nodes)
            self.levels.update(level(node["context"], row["text"]) for node in nodes)
            self.ended[row.get("ended", "not said")] += 1
            if place in wanted:
                self.samples.append(tree_card(row))


def tree_card(row: dict) -> dict[str, str]:
    """A tree as text: questions indented by their depth, with the beginning of what they are about."""
    lines = []
    for node in row["questions"]:
        begin = " ".join(node["context"][:40].split())
        indent = "    " * node.get("depth", 0)
        lines.append(f"{indent}{node['question']}   ← {begin}… ({len(node['context'])})")
    facts = {"#root": str(row["root"]), "#quota": str(row["quota"]), "#questions": str(len(lines))}
    return facts | {"text": row["text"], "questions": "\n".join(lines)}


class Kept:
    """What the report shows of the questions that stayed."""

    def __init__(self, folder: Path) -> None:
        self.levels, self.counts = Counter(), Counter()
        self.sentences = Counter()
        self.without: list[dict] = []
        roots = ((row["root"], row["text"]) for row in rows_of(folder, "questions"))
        text_of = dict(next(roots, (None, "")) for _ in range(ROOTS_READ))
        for root, rows in groupby(rows_of(folder, "filtered"), key=lambda row: row["root"]):
            rows = list(rows)
            self.counts["kept"] += len(rows)
            if root not in text_of:
                continue
            text = text_of[root]
            self.levels.update(level(row["context"], text) for row in rows)
            for sentence, length in coverage(text, [row["context"] for row in rows]).items():
                if length is None:
                    self.without.append({"#root": str(root), "sentence": sentence})
                self.sentences["no question is about it" if length is None else level("x" * length, text)] += 1


def funnel_of(folder: Path, trees: Trees) -> list[report.Stage]:
    stages = [report.Stage("questions grown", trees.questions)]
    filtered, answered = manifest_of(folder, "filtered"), manifest_of(folder, "sft")
    if filtered:
        reasons = Counter(row["why"] for row in rows_of(folder, "filtered.dropped"))
        stages.append(report.Stage("kept", filtered["counts"].get("kept", 0), reasons))
    if answered:
        reasons = Counter(row["reason"][:100] for row in rows_of(folder, "sft.jsonl.rejected"))
        stages.append(report.Stage("answered", answered["counts"].get("done", 0), reasons))
    return stages


def manifest_of(folder: Path, name: str) -> dict:
    path = folder / (name if (folder / name).is_dir() else f"{name}.jsonl")
    return manifest.read(path) if manifest.path_of(path).exists() else {}


def costs(folder: Path) -> str:
    header = ["step", "model", "requests", "answers from the store", "tokens in", "tokens out", "seconds"]
    rows = []
    for name in STEPS:
        if made := manifest_of(folder, name):
            counts = [made["counts"].get(key, 0) for key in ("requests", "from the store", "tokens in", "tokens out")]
            rows.append([name, made.get("llm", {}).get("model") or "–", *counts, made["seconds"]])
    return report.table(header, rows)


def scorer_facts(folder: Path) -> dict[str, str]:
    made = manifest_of(folder, "scorer")
    accuracy = made.get("held_out_accuracy")
    return {} if accuracy is None else {"scorer, pairs held out": f"{accuracy:.0%} of {made['held_out']}"}


def build(folder: Path, shown: int, seed: int) -> tuple[str, list[str]]:
    if not (folder / "questions.jsonl").exists():
        raise BadInput(f"{folder}: has no questions.jsonl; give the folder of a run")
    trees, kept = Trees(folder, shown, seed), Kept(folder)
    answered = count_rows(folder / "sft.jsonl") if (folder / "sft.jsonl").exists() else 0
    tiles = {
        "texts": f"{trees.roots:,}",
        "questions grown": f"{trees.questions:,}",
        "wanted": f"{trees.quota:,}",
        "kept": f"{kept.counts['kept']:,}",
        "answered": f"{answered:,}",
        **scorer_facts(folder),
    }
    short = Counter(
        f"{row['quota'] - row['kept']} missing of {row['quota']}" for row in rows_of(folder, "filtered.short")
    )
    pairs = [{"question": row["question"], "answer": row["answer"]} for row in first_rows(folder, "sft", 4 * shown)]
    return f"{trees.roots:,} texts, {answered or kept.counts['kept'] or trees.questions:,} questions", [
        report.section("At a glance", report.tiles(tiles)),
        report.section("Where the questions went", report.funnel(funnel_of(folder, trees))),
        report.section(
            "Quotas",
            report.side_by_side(
                report.histogram("Quota", trees.quotas, "questions a text"),
                report.histogram("Grown", trees.grown, "questions a text"),
            ),
            report.bars(trees.ended),
            report.bars(dict(short.most_common(8))),
            note="Why the trees of a text ended, and texts that kept fewer questions than their quota.",
        ),
        report.section(
            "Granularity",
            report.bars({f"depth {depth}": trees.depths[depth] for depth in sorted(trees.depths)}),
            report.histogram("Length of what is asked about", trees.lengths, "characters"),
            report.bars({f"{name}, grown": trees.levels[name] for name in LEVELS}),
            report.bars({f"{name}, kept": kept.levels[name] for name in LEVELS}),
            note="Whole: more than 60 % of a text; detail: less than 20 %.",
        ),
        report.section(
            "Coverage",
            report.bars({name: kept.sentences[name] for name in (*reversed(LEVELS), "no question is about it")}),
            report.samples(kept.without[:shown]),
            note="Sentences by the most detailed question that was kept about them.",
        ),
        report.section("Tokens", costs(folder), note="Requests: of the run that finished the file."),
        report.section("Trees", report.samples(trees.samples, shown=4000)),
        report.section("Questions and answers", report.samples(pairs)),
    ]


def first_rows(folder: Path, name: str, count: int) -> list[dict]:
    return [row for row, _ in zip(rows_of(folder, name), range(count), strict=False)]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", required=True, help="folder of a run")
    parser.add_argument("--save_path", required=True, help="the report, .html")
    parser.add_argument("--shown", type=positive, default=3, help="trees shown; four times as many answers")
    parser.add_argument("--seed", type=int, default=0, help="of the trees shown")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    refuse_overlap([file for file in Path(args.folder).rglob("*") if file.suffix != ".html"], [args.save_path])
    report.write_report(args.save_path, "AugCon", *build(Path(args.folder), args.shown, args.seed))


if __name__ == "__main__":
    run_main(main)
