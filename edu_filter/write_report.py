"""One HTML page on a whole edu_filter run, to choose the threshold by: raters, head, curves, languages, corpus, labels.

    python edu_filter/write_report.py --folder out --save_path out/report.html

in   what run_all.sh leaves: out/ratings.jsonl, out/agreement.json, out/head/metrics.json, out/scored, out/plots; parts
     that are not there are left out. The figures themselves are these files' own, as JSON
out  one file that opens from disk, without network or scripts
"""

import argparse
import heapq
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import report
from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import SIDE_FILES, read_rows, refuse_overlap
from edu_filter.corpus import histogram, kept_at
from edu_filter.ratings import HIGHEST, released_class

FEW = 100  # rows: a figure on fewer is a guess
SHOWN = 3  # samples of a kind
GROUPS = 12  # languages or sources that are shown


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def caution(rows: int) -> str:
    return f"Only {rows:,} rows: take these figures as hints." if rows < FEW else f"{rows:,} rows."


def shown(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


# ---------------------------------------------------------------- raters


def rater_section(ratings: Path) -> str:
    rows = list(read_rows(ratings))
    rejected = ratings.with_name(ratings.name + ".rejected.jsonl")
    reasons = Counter(row["reason"][:80] for row in read_rows(rejected, allow_nan=True)) if rejected.exists() else {}
    classes = Counter(row["int_rating"] if "int_rating" in row else released_class(row["rating"]) for row in rows)
    made = read_json(ratings.with_name(ratings.name + ".manifest.json")) or {"counts": {}}
    counts = made["counts"]
    facts = {"rated": f"{len(rows):,}", "rejected": f"{sum(reasons.values()):,}"}
    facts |= {"tokens in": f"{counts.get('tokens in', 0):,}", "tokens out": f"{counts.get('tokens out', 0):,}"}
    if (cost := made.get("llm", {}).get("cost_of_this_run")) is not None:
        facts["cost"] = f"{cost:,.2f}"
    return report.section(
        "Ratings",
        report.tiles(facts),
        report.bars({f"rated {value}": classes[value] for value in range(6)}),
        report.bars(dict(Counter(reasons).most_common(GROUPS))) if reasons else "",
        report.histogram(
            "length of the reasons", [len(row["reason"]) for row in rows if "reason" in row], "characters"
        ),
        note=caution(len(rows)),
    )


def agreement_section(figures: Mapping[str, Any]) -> str:
    header = [
        "compared with",
        "rows",
        "alike",
        "within one",
        "quadratic kappa",
        "Spearman",
        "same side of 3",
        "moved by",
    ]
    keys = ("rows", "exact", "within_one", "quadratic_kappa", "spearman", "same_side_of_3", "mean_difference")
    names = {"second": "second prompt or model", "human": "ratings by hand"}
    found = {names[key]: figures[key] for key in names if figures.get(key, {}).get("rows")}
    parts = [report.table(header, [[name, *(shown(one[key]) for key in keys)] for name, one in found.items()])]
    parts += [confusion(f"first rating against {name}", one["confusion"]) for name, one in found.items()]
    blocks = figures.get("in_order_of_asking", [])
    parts.append(
        report.curve("mean rating in the order of asking", {"mean": [(b["from"], b["mean"]) for b in blocks]}, "")
    )
    if outside := [block["from"] for block in blocks if block["outside"]]:
        parts.append(report.table(["blocks outside the 3-sigma band, by first row"], [[row] for row in outside]))
    if runs := figures.get("sentinels"):
        parts.append(
            report.table(
                ["run over the sentinels", "rows", "mean rating", "moved"],
                [[run["run"], run["rows"], shown(run["mean"]), shown(run["moved"])] for run in runs],
            )
        )
    least = min((one["rows"] for one in found.values()), default=0)
    note = f"How often two raters agree is the ceiling of what the head can learn. {caution(least)}"
    return report.section("Agreement and drift", *parts, note=note)


def confusion(name: str, matrix: Sequence[Sequence[int]]) -> str:
    return report.table([name, *map(str, range(6))], [[str(row), *cells] for row, cells in enumerate(matrix)])


# ---------------------------------------------------------------- head


def head_section(metrics: Mapping[str, Any]) -> str:
    head, at_3 = metrics["head"], metrics["head"]["at_3"]
    interval = [shown(value) for value in at_3.get("f1_interval", [None, None])]
    tiles = {
        "macro-F1": f"{shown(head['f1_macro'])}",
        "F1 at 3": f"{shown(at_3['f1'])}",
        "95 % interval": f"{interval[0]} to {interval[1]}",
        "Spearman": f"{shown(head['spearman'])}",
        "mean error": f"{shown(head['mae'], 2)}",
    }
    header = ["", "macro-F1", "F1 at 3", "F1 at a chosen threshold", "mean error", "Spearman"]
    chosen = metrics["threshold"]["f1"]
    rows = [["this head", *map(shown, (head["f1_macro"], at_3["f1"], chosen, head["mae"], head["spearman"]))]]
    keys = ("f1_macro", "f1_at_3", "f1_at_chosen_threshold", "mae", "spearman")
    for name, one in metrics["baselines"].items():
        rows.append([f"baseline: {name}", *(shown(one[key]) for key in keys)])
    for one in metrics["learning_curve"]:
        rows.append([f"head on {one['trained_on']:,} ratings", *(shown(one[key]) for key in keys)])
    return report.section(
        "Head",
        report.tiles(tiles),
        report.table(header, rows),
        confusion("rating against score", head["confusion"]),
        note=f"On held-out texts. {caution(head['rows'])} Exact copies of them did not train.",
    )


def calibration_section(head: Mapping[str, Any], isotonic: Sequence[Mapping[str, float]]) -> str:
    bins = head["calibration"]
    points = {
        "mean rating": [(one["mean_score"], one["mean_rating"]) for one in bins],
        "isotonic": [(one["score"], one["rating"]) for one in isotonic],
        "perfect": [(value, value) for value in range(6)],
    }
    never = [str(value) for value in range(6) if not any(row[value] for row in head["confusion"])]
    note = f"Expected calibration error {shown(head['expected_calibration_error'], 2)}."
    if never:
        note += f" Rounding never gives {', '.join(never)}: a regression keeps away from the ends."
    return report.section(
        "Calibration",
        report.curve("mean rating by score", points, ""),
        report.table(
            ["score from", "rows", "mean score", "mean rating"], [[shown(v, 2) for v in one.values()] for one in bins]
        ),
        note=f"{note} {caution(head['rows'])}",
    )


def threshold_section(metrics: Mapping[str, Any]) -> str:
    curve, chosen = metrics["curve"], metrics["threshold"]
    lines = {name: [(one["threshold"], one[name]) for one in curve] for name in ("precision", "recall", "f1", "kept")}
    note = (
        f"Best on half of the held-out rows: {chosen['threshold']:g}; on the other half it gives F1"
        f" {shown(chosen['f1'])}. --score 3 means 2.5. {caution(chosen['chosen_on'])}"
    )
    header = ["threshold", "kept", "kept tokens", "precision", "recall", "F1"]
    keys = ("kept", "kept_tokens", "precision", "recall", "f1")
    rows = [[one["threshold"], *(shown(one[key]) for key in keys)] for one in curve[10:46:5]]
    return report.section(
        "Threshold", report.curve("rated 3 or more, by threshold", lines, ""), report.table(header, rows), note=note
    )


def group_section(metrics: Mapping[str, Any], name: str) -> str:
    groups = metrics[f"by_{name}"]
    order = sorted(groups, key=lambda group: -groups[group]["rows"])[:GROUPS]
    rows = [
        [group or "–", one["rows"], shown(one["f1_macro"]), shown(one["at_3"]["f1"]), shown(one["spearman"]),
         shown(one["mae"], 2), one["threshold"]["threshold"], "few rows" if one["few_rows"] else ""]
        for group in order for one in [groups[group]]
    ]  # fmt: skip
    found, what = metrics[f"auc_of_{name}"], "language" if name == "lang" else name
    note = (
        f"The {what} alone tells good rows with AUC {shown(found)}; the score with {shown(metrics['auc'])}. "
        f"Where both are alike, the head may have learned the {what}."
    )
    header = [what, "rows", "macro-F1", "F1 at 3", "Spearman", "mean error", "own threshold", ""]
    return report.section(f"By {what}", report.table(header, rows), note=note)


# ---------------------------------------------------------------- corpus


def corpus_counts(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in sorted(folder.glob("*.done.json")):
        counts.update(read_json(file)["counts"])
    return counts


def half_step(edge: float) -> str:
    """The step of 0.5 that an edge lies in; the last holds what is 5 and more."""
    lower = edge // 0.5 * 0.5
    return f"{lower:g} to {lower + 0.5:g}" if lower < HIGHEST else f"{HIGHEST} and more"


def corpus_section(counts: Counter[str]) -> str:
    total, tokens = counts["rows"] or 1, counts["tokens"] or 1
    kept, kept_tokens = kept_at(counts), kept_at(counts, "tokens")
    langs = Counter()
    sources = Counter()
    for (_, lang, source), rows in histogram(counts).items():
        langs[lang] += rows
        sources[source] += rows
    lines = {"all": [(edge, rows / total) for edge, rows in kept.items()]}
    for lang, rows in langs.most_common(5) if len(langs) > 1 else []:
        lines[lang] = [(edge, found / rows) for edge, found in kept_at(counts, lang=lang).items()]
    by_bin = Counter()
    for (edge, _, _), rows in histogram(counts).items():
        by_bin["below 0" if edge == "below 0" else half_step(float(edge))] += rows
    rows = [
        [edge, kept[edge], shown(kept[edge] / total), shown(kept_tokens[edge] / tokens)]
        for edge in (1.5, 2, 2.5, 3, 3.5)
    ]
    return report.section(
        "Corpus",
        report.tiles({"documents": f"{counts['rows']:,}", "tokens scored": f"{counts['tokens']:,}",
                      "longer than the window": f"{counts['cut at the window'] / total:.1%}"}),
        report.bars({name: by_bin[name] for name in ("below 0", *(half_step(edge / 2) for edge in range(11)))}),
        report.curve("kept at each threshold", lines, "share of documents"),
        report.table(["threshold", "documents kept", "share", "share of tokens"], rows),
        report.table(["language", "documents", "kept at 2.5"],
                     [[lang, n, shown(kept_at(counts, lang=lang)[2.5] / n)] for lang, n in langs.most_common(GROUPS)]),
        source_table(counts, sources) if len(sources) > 1 else "",
        note="From the counts beside the scored files: nothing has to be filtered to know this.",
    )  # fmt: skip


def source_table(counts: Counter[str], sources: Counter[str]) -> str:
    good = Counter()
    for (edge, _, source), rows in histogram(counts).items():
        good[source] += rows * (edge != "below 0" and float(edge) >= 2.5)
    rows = [[source or "–", n, shown(good[source] / n)] for source, n in sources.most_common(GROUPS)]
    return report.table(["source", "documents", "kept at 2.5"], rows)


def scored_rows(folder: Path) -> Iterator[dict]:
    for file in sorted(folder.iterdir()):
        if not file.name.endswith(SIDE_FILES):
            yield from read_rows(file)


def sample_section(folder: Path, text_column: str) -> str:
    """Documents of the lowest and highest scores, and next to 2.5 on both sides."""
    rows = [(row["score"], at, row[text_column]) for at, row in enumerate(scored_rows(folder))]
    kinds = {
        "highest": heapq.nlargest(SHOWN, rows),
        "just over 2.5": heapq.nsmallest(SHOWN, (row for row in rows if row[0] >= 2.5)),
        "just under 2.5": heapq.nlargest(SHOWN, (row for row in rows if row[0] < 2.5)),
        "lowest": heapq.nsmallest(SHOWN, rows),
    }
    cards = [
        {"#kind": kind, "#score": f"{score:.2f}", "text": text}
        for kind, found in kinds.items()
        for score, _, text in found
    ]
    return report.section("Documents", report.samples(cards))


def label_section(shares: Mapping[str, Any]) -> str:
    parts = []
    for name, one in list(shares.items())[-1:]:
        for kind, title in (("domains", "domain"), ("use_cases", "use case")):
            rows = [[s["name"], s["count"], shown(s["of_rows"], 1), shown(s["of_names"], 1)] for s in one[kind][:20]]
            parts.append(report.table([f"{title}, {name}", "rows", "% of labelled rows", "% of names"], rows))
    return report.section("Domains and use cases", report.side_by_side(*parts))


def drawn(path: Path, make: Callable[[Any], list[str]]) -> list[str]:
    """The sections on what one file or folder holds; none if it is not there."""
    if not path.exists():
        return []
    try:
        return make(path if path.is_dir() or path.suffix == ".jsonl" else read_json(path))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: does not hold what a run of edu_filter leaves there: {error!r}") from error


def parts_of(folder: Path, text_column: str) -> list[tuple[Path, Callable[[Any], list[str]]]]:
    """The page, from top to bottom."""
    scored = folder / "scored"
    return [
        (folder / "ratings.jsonl", lambda path: [rater_section(path)]),
        (folder / "agreement.json", lambda figures: [agreement_section(figures)]),
        (folder / "head" / "metrics.json", head_sections),
        (scored, lambda path: [corpus_section(counts)] if (counts := corpus_counts(path)) else []),
        (folder / "plots" / "shares.json", lambda shares: [label_section(shares)]),
        (scored, lambda path: [sample_section(path, text_column)] if corpus_counts(path) else []),
    ]


def head_sections(metrics: Mapping[str, Any]) -> list[str]:
    groups = [group_section(metrics, name) for name in ("lang", "source") if len(metrics[f"by_{name}"]) > 1]
    calibrated = calibration_section(metrics["head"], metrics["isotonic"])
    return [head_section(metrics), calibrated, threshold_section(metrics), *groups]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", required=True, help="what run_all.sh wrote")
    parser.add_argument("--save_path", required=True, help="the page (.html)")
    parser.add_argument("--text_column", default="texto", help="key of a document's text")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = Path(args.folder)
    read = [folder / name for name in ("ratings.jsonl", "agreement.json", "head", "scored", "plots/shares.json")]
    refuse_overlap([path for path in read if path.exists()], [args.save_path])
    sections = [html for path, make in parts_of(folder, args.text_column) for html in drawn(path, make)]
    if not sections:
        raise BadInput(f"{folder}: holds nothing that run_all.sh leaves")
    report.write_report(
        args.save_path, "edu_filter", f"{corpus_counts(folder / 'scored')['rows']:,} documents scored", sections
    )
    print(f"{args.save_path}: written")


if __name__ == "__main__":
    run_main(main)
