"""Your figures beside the paper's.

    python eval/compare_with_paper.py --method web_to_sft --results results/evaluation --baseline results/clean_only

in   <method>/paper_figures.json: what the paper reports, with where it is said
     folders of scored rows: the "result" in every *.manifest.json below them
out  a table on stdout; with --save_path also as json
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import write_text

ROOT = Path(__file__).resolve().parent.parent


def paper_figures(method: str) -> list[dict]:
    path = ROOT / method / "paper_figures.json"
    if not path.is_file():
        known = sorted(file.parent.name for file in ROOT.glob("*/paper_figures.json"))
        raise BadInput(f"{path}: no figures of that method; there are {', '.join(known) or 'none yet'}")
    return json.loads(path.read_text(encoding="utf-8"))


def results_below(folder: str) -> dict[str, dict]:
    """{scored file: its result}."""
    found = {}
    for path in sorted(Path(folder).rglob("*.manifest.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if "result" in facts:
            name = path.name.removesuffix(".manifest.json").removesuffix(".scored.jsonl")
            if name in found:
                raise BadInput(f"{folder}: {name} is there twice; name the folder of one model")
            found[name] = facts["result"]
    if not found:
        raise BadInput(f"{folder}: no scored rows below; run the evaluation first")
    return found


def figure_of(figure: dict, results: dict[str, dict], baseline: dict[str, dict]) -> float | None:
    """Ours for one of the paper's figures: a key of a result, or the mean gain of that key over the baseline."""
    values = [result[figure["key"]] for name, result in results.items() if name in figure["files"]]
    if figure["kind"] == "gain":
        before = [result[figure["key"]] for name, result in baseline.items() if name in figure["files"]]
        if not values or len(values) != len(before):
            return None
        return sum(values) / len(values) - sum(before) / len(before)
    return values[0] if values else None


def compare(figures: list[dict], results: dict[str, dict], baseline: dict[str, dict]) -> list[dict]:
    return [
        {"what": figure["what"], "ours": figure_of(figure, results, baseline), "paper": figure["paper"],
         "source": figure["source"]}
        for figure in figures
    ]  # fmt: skip


def as_percent(value: float | None, missing: str) -> str:
    return missing if value is None else f"{100 * value:.1f} %"


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--method", required=True, help="folder of the method, e.g. web_to_sft")
    parser.add_argument("--results", required=True, help="folder of scored rows")
    parser.add_argument("--baseline", help="the same of a model trained without the method's data")
    parser.add_argument("--save_path", help="the table as json")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    baseline = results_below(args.baseline) if args.baseline else {}
    rows = compare(paper_figures(args.method), results_below(args.results), baseline)
    print(f"{'':60} {'ours':>10} {'paper':>14}")
    for row in rows:
        ours, paper = as_percent(row["ours"], "-"), as_percent(row["paper"], "not published")
        print(f"{row['what']:60} {ours:>10} {paper:>14}   {row['source']}")
    if args.save_path:
        write_text(Path(args.save_path), json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
