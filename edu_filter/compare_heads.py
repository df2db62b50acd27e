"""Heads trained on the same ratings, and what no encoder is needed for, in one table.

    python edu_filter/compare_heads.py --folders out/pooler out/linear

in   folders of step 2
out  a table on stdout; --save_path has it as JSON, {"pooler": {"macro-F1": 0.41, "F1 at 3": 0.72, ...}, ...}. Folders
     are named by their last piece, or by their last two where they lie in different folders
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import refuse_overlap, write_text

COLUMNS = {
    "f1_macro": "macro-F1",
    "f1_at_3": "F1 at 3",
    "f1_at_chosen_threshold": "F1, threshold chosen on half",
    "mae": "mean error",
    "spearman": "Spearman",
}


def figures(folder: Path) -> tuple[dict, dict]:
    """(of the head, of each baseline)."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder}: not a folder of step 2: {error}") from None
    head = metrics["head"] | {"f1_at_3": metrics["head"]["at_3"]["f1"]}
    return head | {"f1_at_chosen_threshold": metrics["threshold"]["f1"]}, metrics["baselines"]


def compared(folders: list[Path]) -> dict[str, dict[str, float]]:
    """Rows of the table. Heads of one parent folder learned from the same ratings, so have the same baselines."""
    parents = list(dict.fromkeys(folder.parent for folder in folders))
    rows = {}
    for parent in parents:
        prefix = f"{parent.name}: " if len(parents) > 1 else ""
        ours = [folder for folder in folders if folder.parent == parent]
        rows |= {f"{prefix}{folder.name.replace('_', ' ')}": figures(folder)[0] for folder in ours}
        rows |= {f"{prefix}{name}": one for name, one in figures(ours[0])[1].items()}
    return {
        name: {title: one[key] for key, title in COLUMNS.items() if one[key] is not None} for name, one in rows.items()
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--folders", nargs="+", required=True, help="folders of step 2")
    parser.add_argument("--save_path", help="the figures (.json)")
    args = parser.parse_args()
    rows = compared([Path(name) for name in args.folders])
    if args.save_path:
        refuse_overlap(args.folders, [args.save_path])
        write_text(args.save_path, json.dumps(rows, indent=1, ensure_ascii=False))
    width = max(map(len, rows))
    print(f"{'':{width}}" + "".join(f"{title:>32}" for title in COLUMNS.values()))
    for name, one in rows.items():
        cells = (f"{one[title]:.3f}" if title in one else "–" for title in COLUMNS.values())
        print(f"{name:{width}}" + "".join(f"{cell:>32}" for cell in cells))


if __name__ == "__main__":
    run_main(main)
