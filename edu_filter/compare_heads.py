"""Heads trained on the same ratings, and what no encoder is needed for, in one table.

    python edu_filter/compare_heads.py --folders out/pooler out/linear

in   folders of step 2
out  a table on stdout: macro-F1, F1 at 3, F1 at a threshold chosen on half of the held-out rows, mean error, Spearman
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main

KEYS = ("f1_macro", "f1_at_3", "f1_at_chosen_threshold", "mae", "spearman")


def figures(folder: Path) -> tuple[dict, dict]:
    """(of the head, of each baseline)."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder}: not a folder of step 2: {error}") from None
    head = metrics["head"] | {"f1_at_3": metrics["head"]["at_3"]["f1"]}
    return head | {"f1_at_chosen_threshold": metrics["threshold"]["f1"]}, metrics["baselines"]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--folders", nargs="+", required=True, help="folders of step 2")
    folders = [Path(name) for name in parser.parse_args().folders]
    rows = {f"head {folder.name}": figures(folder)[0] for folder in folders}
    rows |= {f"baseline {name}": one for name, one in figures(folders[0])[1].items()}
    print(f"{'':24}" + "".join(f"{name:>24}" for name in KEYS))
    for name, one in rows.items():
        print(f"{name:24}" + "".join(f"{'–' if one[key] is None else format(one[key], '.3f'):>24}" for key in KEYS))


if __name__ == "__main__":
    run_main(main)
