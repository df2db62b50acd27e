"""edu_filter step 6: how often each domain and use case occurs, for each data set and for all together.

    python edu_filter/step6_plot_labels.py --result_path out/labels --output_dir out/plots

in   label files of step 5, rows or the released usecasesdomains_NAME_MODEL.json, one or a folder of them
out  out/plots/STEM_domains.png and STEM_usecases.png for each, all_*.png for all together, and shares.json:
     {"STEM": {"rows": 40, "domains": [{"name": "Salud", "count": 9, "of_names": 21.4, "of_rows": 28.1}], ...}}
"""

import argparse
import functools
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import SIDE_FILES, read_rows, refuse_overlap, replacing, write_text
from edu_filter.labels import KINDS, Taxonomy, load_taxonomy
from edu_filter.shares import AXES, SHOWN, TICKS, TITLES, Share, released_caption, released_shares, shares

FILES = {"domains": "domains", "use_cases": "usecases"}
CHINESE_FONTS = "SansCJK|SourceHan|wqy|PingFang|msyh|simhei|CJK"
RELEASED_NAMES = "usecasesdomains_*.json"


def label_files(path: Path, exclude: Sequence[str], paper_exact: bool) -> list[Path]:
    """One file, or those of a folder. The released code leaves out all whose path says "toxicity" anywhere."""
    if not path.is_dir():
        return [path]
    pattern = RELEASED_NAMES if paper_exact else "*.json*"
    found = [file for file in sorted(path.glob(pattern)) if not file.name.endswith((".rows.jsonl", *SIDE_FILES))]
    if paper_exact:
        return [file for file in found if "toxicity" not in str(file)]
    return [file for file in found if not any(fnmatch(file.name, name) for name in exclude)]


def read_released(file: Path) -> list[dict] | None:
    """The entries of a released file; None for rows."""
    if file.suffix != ".json":
        return None
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None  # an object a line
    if not isinstance(entries, dict):
        return None
    if not all(
        isinstance(one, dict) and all(isinstance(one.get(k, 0), str | None) for k in KINDS) for one in entries.values()
    ):
        raise BadInput(f'{file}: not {{"0": {{"domains": "...", "use_cases": "..."}}}} as step 5 writes it')
    return list(entries.values())


def names_of(file: Path, taxonomy: Taxonomy, lang: str) -> dict[str, list[list[str]]]:
    """Lists of names, one a row, by kind; ids as their names in one language."""
    entries = read_released(file)
    names: dict[str, list[list[str]]] = {kind: [] for kind in KINDS}
    for row in read_rows(file) if entries is None else entries:
        for kind in KINDS:
            value = row.get(kind)
            if isinstance(value, list):
                found = [taxonomy.name(kind, identity, lang) for identity in value] + row.get(f"other_{kind}", [])
            elif isinstance(value, str | None):
                found = [name.strip() for name in (value or "").split(",") if name.strip()]
            else:
                raise BadInput(f"{file}: {kind!r} is {value!r}; expected a list of names, a text or null")
            names[kind].append(found)
    return names


def describe(names: dict[str, list[list[str]]]) -> dict:
    """Shares of all names and of labelled rows, by kind."""
    return {
        "rows": len(names["domains"]),
        "labelled": sum(bool(a) and bool(b) for a, b in zip(names["domains"], names["use_cases"], strict=True)),
        **{kind: [asdict(share) for share in shares(names[kind])] for kind in KINDS},
    }


@functools.cache
def fonts() -> list[str]:
    """The usual one, and behind it one with Chinese characters if there is any."""
    from matplotlib.font_manager import FontProperties, findSystemFonts, fontManager

    found = (file for file in findSystemFonts() if re.search(CHINESE_FONTS, Path(file).name, re.I))
    files = sorted(found, key=lambda file: ("Regular" not in file, file))
    for file in files[:1]:
        fontManager.addfont(file)
    return ["DejaVu Sans", *(FontProperties(fname=file).get_name() for file in files[:1])]


def plot(found: Sequence[Share], kind: str, caption: str, path: Path) -> None:
    """Bars of the commonest names, in percent of all names, as in the released figures."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcParams["font.family"] = fonts()
    figure = Figure(figsize=(12, 6))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.bar([share.name for share in found], [share.of_names for share in found], color="#3566c8")
    axes.bar_label(bars, labels=[f"{share.of_names:.1f}%" for share in found], fontsize=8)
    axes.set(title=caption, xlabel=AXES[kind], ylabel="Percentage (%)")
    if TICKS[kind] is not None:
        axes.set_yticks(TICKS[kind])
    axes.tick_params(axis="x", labelrotation=45)
    for label in axes.get_xticklabels():
        label.set_ha("right")
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, format="png")


def plot_released(files: Sequence[Path], combined: bool, output_dir: Path) -> dict:
    """The released figures of one file, or of all files of a folder together."""
    entries = [entry for file in files for entry in read_released(file) or []]
    stem = "all" if combined else files[0].stem
    name = "All-Datasets" if combined else stem.split("_")[1] if "_" in stem else None
    if name is None:
        raise BadInput(f"{files[0]}: the released code takes the data set's name from between two _ of the file's name")
    described = {}
    for kind in KINDS:
        found = released_shares(entries, kind)[: SHOWN[kind]]
        if not found:
            raise BadInput(f"{stem}: no {AXES[kind]} are named; the released code ends here")
        plot(found, kind, released_caption(entries, kind, name), output_dir / f"{stem}_{FILES[kind]}.png")
        described[kind] = [asdict(share) for share in found]
        write_text(output_dir / "shares.json", json.dumps({stem: described}, ensure_ascii=False, indent=1))
    return {stem: described}


def plot_all(files: Sequence[Path], taxonomy: Taxonomy, lang: str, output_dir: Path) -> dict:
    """Each file's figures, and all files' together: once as one set, once each set alike."""
    described = {}
    together: dict[str, list[list[str]]] = {kind: [] for kind in KINDS}
    for file in files:
        stem = file.name.partition(".")[0]
        if stem in described or (stem == "all" and len(files) > 1):
            raise BadInput(f"{file}: another figure is called {stem}; name the label files apart")
        names = names_of(file, taxonomy, lang)
        described[stem] = describe(names)
        for kind in KINDS:
            together[kind] += names[kind]
    if len(files) > 1:
        described["all"] = describe(together) | {"each_set_alike": each_alike(list(described.values()))}
    for stem, facts in described.items():
        for kind in KINDS:
            found = [Share(**share) for share in facts[kind]][: SHOWN[kind]]
            caption = f"{TITLES[kind]} `{stem}`\nExamples: {facts['labelled']:,}/{facts['rows']:,}"
            if found:
                plot(found, kind, caption, output_dir / f"{stem}_{FILES[kind]}.png")
    return described


def each_alike(described: Sequence[dict]) -> dict[str, dict[str, float]]:
    """Mean share of labelled rows over the data sets: a large one counts no more than a small one."""
    means: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        names = {share["name"] for facts in described for share in facts[kind]}
        sums = dict.fromkeys(sorted(names), 0.0)
        for facts in described:
            for share in facts[kind]:
                sums[share["name"]] += share["of_rows"] / len(described)
        means[kind] = dict(sorted(sums.items(), key=lambda item: -item[1]))
    return means


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--result_path", "--data_path", dest="result_path", required=True, help="label file or folder")
    parser.add_argument("--output_dir", required=True, help="folder of the figures")
    parser.add_argument("--lang", default="es", help="language of the names")
    parser.add_argument("--taxonomy", help="the file of names that step 5 was given")
    parser.add_argument(
        "--exclude", action="append", default=[], help="file names to leave out, '*toxicity*'; repeatable"
    )
    parser.add_argument(
        "--paper_exact", action="store_true", help="the released figures: of one file, or of all together"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    output_dir = Path(args.output_dir)
    files = label_files(Path(args.result_path), args.exclude, args.paper_exact)
    if not files and not args.paper_exact:
        raise BadInput(f"{args.result_path}: holds no label files")
    stems = {*(file.stem for file in files), *(file.name.partition(".")[0] for file in files), "all"}
    plots = [output_dir / f"{stem}_{name}.png" for stem in stems for name in FILES.values()]
    refuse_overlap(files, [output_dir / "shares.json", *plots])
    if args.paper_exact:
        described = plot_released(files, Path(args.result_path).is_dir(), output_dir)
    else:
        taxonomy = load_taxonomy(args.taxonomy) if args.taxonomy else load_taxonomy()
        described = plot_all(files, taxonomy, args.lang, output_dir)
    write_text(output_dir / "shares.json", json.dumps(described, ensure_ascii=False, indent=1))
    print(f"{output_dir}: figures of {', '.join(described)}")


if __name__ == "__main__":
    run_main(main)
