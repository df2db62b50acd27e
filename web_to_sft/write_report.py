"""One HTML page on a whole run: pairs by distance, training, what conversion did to the crawl, accuracies, samples.

    python web_to_sft/write_report.py --folder results/web_to_sft --save_path results/web_to_sft/report.html

in   the folder that run_all.sh fills; steps that have not run yet are left out
out  one file that opens from disk, without network or scripts
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest, report
from common.errors import BadInput
from common.llm.standin.answers import MODEL as STANDIN
from common.program import make_parser, positive, run_main
from common.rows import read_rows, refuse_overlap, rows_at
from web_to_sft.inputs import split_of, text_of

STEPS = ("pairs.jsonl", "converter_model", "converted.jsonl", "solver.jsonl", "solver_model")


class Run:
    """The files of a run, by the names that run_all.sh gives them."""

    def __init__(self, folder: Path, shown: int, seed: int) -> None:
        self.folder, self.shown, self.draw = folder, shown, random.Random(seed)
        steps = [folder / name for name in STEPS if manifest.path_of(folder / name).exists()]
        self.manifests = {path.name: manifest.read(path) for path in steps}
        if "pairs.jsonl" not in self.manifests:
            raise BadInput(f"{folder}: no pairs.jsonl with its manifest; run step 1 with --save_path there")

    def rejected(self, name: str) -> Iterator[dict]:
        path = self.folder / f"{name}.rejected.jsonl"
        return read_rows(path, allow_nan=True) if path.exists() else iter(())

    def scored(self) -> list[Path]:
        return sorted((self.folder / "evaluation").glob("*.scored.jsonl"))

    def files(self) -> list[Path]:
        """What a report must not be written over: all of the run but earlier reports, and the rows it began with."""
        given = self.manifests["pairs.jsonl"]["arguments"]
        below = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".html"]
        return [*below, Path(given["web_path"]), Path(given["high_quality_path"])]

    def solver_is_standin(self) -> bool:
        """Whether rules answered the test questions: their accuracy would be nothing, and say nothing."""
        answers = [path.with_name(path.name.removesuffix(".scored.jsonl")) for path in self.scored()]
        asked = [manifest.read(path).get("llm", {}) for path in answers if manifest.path_of(path).exists()]
        return any(STANDIN in (made.get("model"), *made.get("served_as", ())) for made in asked)

    def sample(self, rows: Iterable[dict]) -> list[dict]:
        return report.fair_draw(rows, self.shown, self.draw)


def pair_sections(run: Run) -> list[str]:
    made = run.manifests["pairs.jsonl"]
    given = made["arguments"]
    web, clean = given["web_path"], given["high_quality_path"]
    if not (Path(web).exists() and Path(clean).exists()):
        return [report.section("Pairs", note=f"{web} or {clean} is not there any more: no samples.")]
    pairs = run.sample(read_rows(run.folder / "pairs.jsonl"))
    near = run.sample(read_rows(run.folder / "pairs.jsonl.near_misses.jsonl"))
    both = pairs + near
    crawled = rows_at(web, {pair["web57w_idx"] for pair in both}, split_of(web, given["split"]))
    twins = rows_at(clean, {pair["highquality_idx"] for pair in both}, split_of(clean, given["split"]))

    def both_texts(row: dict, side: str, answer: str) -> str:
        return "\n\n".join(text_of(row, given[f"{side}_{part}_key"]) for part in ("question", answer))

    def card(pair: dict) -> dict[str, str]:
        facts = {"#crawled row": str(pair["web57w_idx"]), "#clean row": str(pair["highquality_idx"])}
        facts |= {"#distance": str(pair["distance"])} if "distance" in pair else {}
        texts = both_texts(crawled[pair["web57w_idx"]], "web", "analysis")
        return facts | {
            "crawled": texts,
            "clean": both_texts(twins[pair["highquality_idx"]], "high_quality", "solution"),
        }

    ((measure, scores),) = made["scores"].items()
    meaning = {
        "distance": "Characters added or removed in the question after normalisation.",
        "similarity": "Of the questions after normalisation, by rapidfuzz; 100 is equal.",
    }
    bars = report.bars({f"{measure} {score}": count for score, count in scores.items()})
    return [
        report.section(f"Pairs by {measure}", bars, note=meaning[measure]),
        report.section("Pairs at random", report.samples(map(card, pairs))),
        report.section(
            "Near misses", report.samples(map(card, near)), note="A close question, but not this solution: not paired."
        ),
    ]


def training_section(run: Run) -> list[str]:
    header = ["model", "parameters", "examples", "tokens an epoch", "learned", "steps", "tokens/s"]
    lines, curves = [], {}
    for name in ("converter_model", "solver_model"):
        if made := run.manifests.get(name):
            plan, curves[name] = made["plan"], made["loss"]
            numbers = [plan[key] for key in ("parameters", "examples", "tokens_per_epoch", "learned_tokens_per_epoch")]
            lines.append([name, *numbers, plan["steps"], made["speed"]["tokens_per_second"]])
    if not lines:
        return []
    return [report.section("Training", report.table(header, lines), report.curve("loss", curves, "of a step"))]


def conversion_sections(run: Run) -> list[str]:
    made = run.manifests.get("solver.jsonl")
    if not made:
        return []
    response, question = made["arguments"]["response_key"], made["arguments"]["web_question_key"]
    reasons = Counter(entry["reason"] for entry in run.rejected("solver.jsonl"))
    counts, clean = made["counts"], made["counts"].get("clean rows", 0)
    crawled = counts["in"] - clean
    converted = (row for row in read_rows(run.folder / "solver.jsonl") if question in row)
    flagged = (row for row in read_rows(run.folder / "solver.jsonl") if "lost_numbers" in row)

    def card(row: dict) -> dict[str, str]:
        before = "\n\n".join(str(row[key]) for key in row if key not in ("instruction", "output", "lost_numbers"))
        lost = {"#lost numbers": ", ".join(row["lost_numbers"])} if "lost_numbers" in row else {}
        return lost | {"crawled": before, "converted": f"{row['instruction']}\n\n{row['output']}"}

    def rejected_card(entry: dict) -> dict[str, str]:
        row = entry["row"]
        return {"#": entry["reason"], "crawled": str(row.get(question)), "converter": str(row.get(response))}

    stages = [
        report.Stage("crawled rows converted", crawled),
        report.Stage("parsed", counts["done"] - clean, reasons),
    ]
    note = f"{clean:,} clean rows stand in front of them in solver.jsonl."
    return [
        report.section("From the crawl to training rows", report.funnel(stages), note=note),
        report.section("Conversions at random", report.samples(map(card, run.sample(converted)))),
        report.section("Conversions that lost numbers of the problem", report.samples(map(card, run.sample(flagged)))),
        report.section("Set aside", report.samples(map(rejected_card, run.sample(run.rejected("solver.jsonl"))))),
    ]


def evaluation_sections(run: Run) -> list[str]:
    if run.solver_is_standin():
        note = "The test questions went to the stand-in server, which answers by rules and solves nothing: no figures."
        return [report.section("Accuracy", note=note)]
    sections = []
    compared = run.folder / "evaluation" / "compared.json"  # of eval/compare_with_paper.py
    if compared.exists():
        figures = json.loads(compared.read_text(encoding="utf-8"))
        lines = [[row["what"], percent(row["ours"]), percent(row["paper"], "not published")] for row in figures]
        sections.append(report.section("Accuracy, beside the paper's", report.table(["", "here", "paper"], lines)))
    for path in run.scored():
        name = path.name.removesuffix(".scored.jsonl")
        if grades := manifest.read(path)["result"].get("by_grade"):
            lines = [[grade, percent(value)] for grade, value in grades.items()]
            sections.append(report.section(f"{name} by grade", report.table(["grade", "accuracy"], lines)))
        wrong = (row for row in read_rows(path) if not row.get("match", row.get("is_correct")))
        sections.append(report.section(f"{name}: wrong answers", report.samples(map(wrong_card, run.sample(wrong)))))
    return sections


def wrong_card(row: dict) -> dict[str, str]:
    texts = {key: value for key, value in row.items() if isinstance(value, str) and key != "reason"}
    return {"#": row["reason"]} | texts


def percent(value: float | None, missing: str = "–") -> str:
    return missing if value is None else f"{value:.1%}"


def tiles(run: Run) -> dict[str, str]:
    pairs = run.manifests["pairs.jsonl"]
    shown = {"crawled problems": f"{pairs['counts']['in']:,}", "pairs": f"{pairs['rows_written']:,}"}
    if made := run.manifests.get("solver.jsonl"):
        shown["rows to train on"] = f"{made['rows_written']:,}"
        shown["flagged, lost numbers"] = f"{made['counts'].get('flagged, lost numbers', 0):,}"
    for path in [] if run.solver_is_standin() else run.scored():
        shown[f"{path.name.partition('.')[0]}, right"] = percent(manifest.read(path)["result"]["accuracy"])
    return shown


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="what run_all.sh filled")
    parser.add_argument("--save_path", required=True, help="the report, .html")
    parser.add_argument("--shown", type=positive, default=10, help="rows shown in each section")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of the rows shown")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    run = Run(args.folder, args.shown, args.seed)
    refuse_overlap(run.files(), [args.save_path])
    sections = [report.section("At a glance", report.tiles(tiles(run)))]
    sections += training_section(run) + evaluation_sections(run) + conversion_sections(run) + pair_sections(run)
    report.write_report(args.save_path, "Web to SFT", str(args.folder), sections)
    print(f"{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
