"""Heads on the same ratings, and what no encoder is needed for, in one table: which head, which pooling, if any.

    python edu_filter/compare_heads.py --json_file out/ratings.jsonl --cache_dir out/vectors

in   rows of step 1, {"texto": "...", "rating": 3}; with several ratings a row, each --rating_key is a part of the table
out  a table on stdout; --output_dir has it as JSON, seed0.json: {"pooler, first token": {"macro-F1": 0.41, ...}, ...}.
     A text is encoded once for each pooling, whatever the rating, the head and the seed
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadRow, BadValue
from common.languages import detect_language
from common.program import make_parser, positive, run_main
from common.rows import read_rows, refuse_overlap, write_text
from common.step import need
from edu_filter.ratings import HIGHEST, int_score

if TYPE_CHECKING:  # it brings torch along
    from edu_filter.training import Rated

POOLINGS = {"first": "first token", "mean": "mean"}
COLUMNS = {
    "f1_macro": "macro-F1",
    "f1_at_3": "F1 at 3",
    "f1_at_chosen_threshold": "F1, threshold chosen on half",
    "mae": "mean error",
    "spearman": "Spearman",
}


def read_rated(path: str, text_column: str, rating_key: str) -> list["Rated"]:
    from edu_filter.training import Rated

    found = []
    for index, row in enumerate(read_rows(path)):
        try:
            text, rating = need(row, text_column), need(row, rating_key, (int, float))
            if not 0 <= rating <= HIGHEST:
                raise BadValue(f"{rating_key!r} is {rating}, not 0 to {HIGHEST}")
        except BadValue as why:
            raise BadRow(path, index, why.reason) from None
        found.append(Rated(index, text, rating, int_score(rating), detect_language(text), ""))
    return found


def compare(rated: list["Rated"], seed: int, args: argparse.Namespace) -> dict[str, dict]:
    """Figures of each head on the held-out rows, then of each baseline on the same."""
    from edu_filter.training import Settings, learn

    rows = {}
    for pooling, name in POOLINGS.items():
        for head in ("pooler", "linear"):
            settings = Settings(
                args.base_model, str(Path(args.cache_dir) / pooling), head, pooling, args.max_length,
                epochs=args.num_train_epochs, batch_size=args.train_batch_size, learning_rate=args.learning_rate,
                test_share=args.test_share, seed=seed,
            )  # fmt: skip
            metrics = learn(rated, settings)[0].metrics
            found = metrics["head"] | {"f1_at_3": metrics["head"]["at_3"]["f1"]}
            rows[f"{head}, {name}"] = found | {"f1_at_chosen_threshold": metrics["threshold"]["f1"]}
    rows |= metrics["baselines"]
    return {
        name: {title: one[key] for key, title in COLUMNS.items() if one[key] is not None} for name, one in rows.items()
    }


def print_table(rows: dict[str, dict]) -> None:
    width = max(map(len, rows))
    print(f"{'':{width}}" + "".join(f"{title:>30}" for title in COLUMNS.values()))
    for name, one in rows.items():
        cells = (f"{one[title]:.3f}" if title in one else "–" for title in COLUMNS.values())
        print(f"{name:{width}}" + "".join(f"{cell:>30}" for cell in cells))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_file", "--data_path", dest="json_file", required=True, help="rated rows")
    parser.add_argument("--output_dir", help="folder of the figures, a file for each seed")
    parser.add_argument("--text_column", default="texto", help="key of a document's text")
    parser.add_argument("--rating_key", default="rating", help="key of the rating, or several with commas")
    parser.add_argument("--base_model", default="Snowflake/snowflake-arctic-embed-m", help="any encoder")
    parser.add_argument("--cache_dir", required=True, help="folder of the vectors, one in it for each pooling")
    parser.add_argument(
        "--max_length", type=positive, help="tokens of a text; without it what the encoder takes, or 512"
    )
    parser.add_argument("--num_train_epochs", type=positive, default=60, help="over the training rows")
    parser.add_argument("--train_batch_size", type=positive, default=2800, help="rows of a step")
    parser.add_argument("--learning_rate", type=float, default=3e-4, help="at the start; falls to 0 in a straight line")
    parser.add_argument("--test_share", type=float, default=0.05, help="share of rows that is held out")
    parser.add_argument(
        "--seeds", nargs="+", type=int, help="of the heads, and of which rows are held out; without it 0"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    keys = args.rating_key.split(",")
    rated = {key: read_rated(args.json_file, args.text_column, key) for key in keys}
    for seed in args.seeds or [0]:
        rows = {}
        for key in keys:
            found = compare(rated[key], seed, args)
            rows |= {f"{key}: {name}": one for name, one in found.items()} if len(keys) > 1 else found
        if args.output_dir:
            path = Path(args.output_dir) / f"seed{seed}.json"
            refuse_overlap([args.json_file], [path])
            write_text(path, json.dumps(rows, indent=1, ensure_ascii=False))
        print(f"seed {seed}")
        print_table(rows)


if __name__ == "__main__":
    run_main(main)
