"""Your figures beside the paper's.

    python eval/compare_with_paper.py --method web_to_sft --results results/evaluation --baseline results/clean_only

in   METHOD/paper_figures.json, what the paper reports, as a list of
         {"what": "accuracy on Ape210k", "paper": 0.6, "source": "where it is said",
          "files": ["test.jsonl"], "key": "accuracy"}
     `paper` is null where no figure was published. `files` are looked for below --results: NAME stands for the "result"
     in NAME.manifest.json or NAME.scored.jsonl.manifest.json, NAME.json also for a file that holds the result itself;
     `key` is the number's place there ("all.winning_score"). Without `files` no command here measures it.
     Optional: "kind": "mean" (over all the files) or "gain" (that mean, less that of --baseline; otherwise the value in
     the first file), "unit": "percent" (of a share, the default) or "number", "others": what the paper has for other
     data, {"untuned": 0.07}, and "settings" under which the paper has the figure, {"judge": "gpt-4"}: a result that
     says otherwise, or nothing, in its own "settings" is not comparable. A result's "note" is printed too
     folders of results
out  a table on stdout that says what is not comparable; with --save_path also as json, a row
     {"what": "accuracy on Ape210k", "ours": 0.55, "paper": 0.6, "others": {}, "unit": "percent", "remark": "",
      "source": "..."}
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import refuse_overlap, write_text

ROOT = Path(__file__).resolve().parent.parent
UNITS = ("percent", "number")


def figures_path(method: str) -> Path:
    return ROOT / method / "paper_figures.json"


def paper_figures(method: str) -> list[dict]:
    path = figures_path(method)
    if not path.is_file():
        known = sorted(file.parent.name for file in ROOT.glob("*/paper_figures.json"))
        raise BadInput(f"{path}: no figures of that method; there are {', '.join(known) or 'none yet'}")
    figures = read_json(path)
    for number, figure in enumerate(figures):
        missing = [key for key in ("what", "paper", "source") if key not in figure]
        if missing or figure.get("unit", "percent") not in UNITS or ("files" in figure) != ("key" in figure):
            raise BadInput(f"{path}, figure {number}: not of the form that eval/compare_with_paper.py describes")
    return figures


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}") from error


def files_below(folder: str, figures: list[dict]) -> dict[str, list[Path]]:
    """{file that a figure names: where a result in it or of it may lie}."""
    found = {}
    for name in sorted({name for figure in figures for name in figure.get("files", [])}):
        places = [name] if name.endswith(".json") else []
        places += [f"{name}.manifest.json", f"{name}.scored.jsonl.manifest.json"]
        found[name] = [path for place in places for path in sorted(Path(folder).rglob(place))]
    return found


def results_below(folder: str, figures: list[dict]) -> dict[str, dict]:
    """{file that a figure names: the result in it or of it}."""
    found: dict[str, dict] = {}
    for name, paths in files_below(folder, figures).items():
        contents = [read_json(path) for path in paths]
        results = [content.get("result", content) for content in contents if place_holds_result(content, figures, name)]
        if len(results) > 1:
            raise BadInput(f"{folder}: {name} is there twice; name the folder of one model")
        if results:
            found[name] = results[0]
    if not found:
        raise BadInput(f"{folder}: no results of this method below; run the evaluation first")
    return found


def place_holds_result(content: Any, figures: list[dict], name: str) -> bool:
    """A manifest with a "result", or a file that holds the number of one of the figures."""
    if not isinstance(content, dict):
        return False
    keys = [figure["key"] for figure in figures if name in figure.get("files", [])]
    return isinstance(content.get("result"), dict) or any(number_at(content, key) is not None for key in keys)


def number_at(result: dict, key: str) -> float | None:
    """`all.winning_score` is result["all"]["winning_score"]; None where there is no number."""
    value: Any = result
    for part in key.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def figure_of(figure: dict, results: dict[str, dict], baseline: dict[str, dict]) -> float | None:
    """Ours for one of the paper's figures: a number of a result, a mean over results, or its gain over the baseline."""
    names = [name for name in figure.get("files", []) if name in results]
    values = [number_at(results[name], figure["key"]) for name in names]
    if figure.get("kind") == "mean":
        return None if len(values) < len(figure["files"]) or None in values else sum(values) / len(values)
    if figure.get("kind") != "gain":
        return values[0] if values else None
    before = [number_at(baseline[name], figure["key"]) for name in names if name in baseline]
    if not values or len(values) != len(before) or None in values + before:
        return None
    return sum(values) / len(values) - sum(before) / len(before)


def remark_on(figure: dict, results: dict[str, dict], ours: float | None) -> str:
    """Why the two numbers do not say the same thing; empty where they may be compared."""
    if "files" not in figure:
        return "no command here measures it"
    if ours is None:
        return "not measured"
    measured = [results[name] for name in figure["files"] if name in results]
    said = settings_at(measured[0], figure["key"])
    wanted = figure.get("settings", {})
    other = [f"{key} {said[key]} (paper: {wanted[key]})" for key in wanted if key in said and said[key] != wanted[key]]
    silent = [f"{key} {wanted[key]}" for key in wanted if key not in said]
    return "; ".join(
        (["not comparable: " + ", ".join(other)] if other else [])
        + (["comparable only with " + ", ".join(silent)] if silent else [])
        + list(dict.fromkeys(result["note"] for result in measured if result.get("note")))
    )


def settings_at(result: dict, key: str) -> dict:
    """The "settings" of the result and of every part of it on the way to the number."""
    settings: dict = {}
    for part in ["", *key.split(".")[:-1]]:
        result = result.get(part, {}) if part else result
        if not isinstance(result, dict):
            break
        settings |= result.get("settings", {})
    return settings


def compare(figures: list[dict], results: dict[str, dict], baseline: dict[str, dict]) -> list[dict]:
    rows = []
    for figure in figures:
        ours = figure_of(figure, results, baseline)
        row = {"what": figure["what"], "ours": ours, "paper": figure["paper"], "others": figure.get("others", {})}
        row["unit"] = figure.get("unit", "percent")
        rows.append(row | {"remark": remark_on(figure, results, ours), "source": figure["source"]})
    return rows


def printed(value: float | None, unit: str, missing: str) -> str:
    if value is None:
        return missing
    return f"{100 * value:.1f} %" if unit == "percent" else f"{value:.3f}".rstrip("0").rstrip(".")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--method", required=True, help="folder of the method, e.g. web_to_sft")
    parser.add_argument("--results", required=True, help="folder of results")
    parser.add_argument("--baseline", help="the same of a model trained without the method's data")
    parser.add_argument("--save_path", help="the table as json")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    figures = paper_figures(args.method)
    baseline = results_below(args.baseline, figures) if args.baseline else {}
    if args.save_path:
        folders = [args.results, *([args.baseline] if args.baseline else [])]
        read = [path for folder in folders for paths in files_below(folder, figures).values() for path in paths]
        refuse_overlap([figures_path(args.method), *read], [args.save_path])
    rows = compare(figures, results_below(args.results, figures), baseline)
    print(f"{'':60} {'ours':>10} {'paper':>14}")
    for row in rows:
        ours, paper = printed(row["ours"], row["unit"], "-"), printed(row["paper"], row["unit"], "not published")
        others = ", ".join(f"{name} {printed(value, row['unit'], '-')}" for name, value in row["others"].items())
        said = "; ".join(filter(None, [others and f"others: {others}", row["remark"], row["source"]]))
        print(f"{row['what']:60} {ours:>10} {paper:>14}   {said}")
    if args.save_path:
        Path(args.save_path).parent.mkdir(parents=True, exist_ok=True)
        write_text(Path(args.save_path), json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
