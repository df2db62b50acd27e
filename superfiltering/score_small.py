"""What a selection does to a small model trained on it, and how far a weak and a strong scorer agree; of one seed.

    python superfiltering/score_small.py --folder out/seed1 --students weak_IFD random --train_tokens 20000 \
        --save_path seed1.json

in   FOLDER: weak.jsonl, strong.jsonl (step 2), test.jsonl, the model base, and of each student NAME.jsonl (step 3)
out  {"weak_IFD": {"damaged": …, "right": …, "loss": …}, …, "weak IFD with strong IFD": {"rho": …, …}, …}
Each student is the base, trained on its rows for as many tokens as the others. Right are the answers equal to the known
one, written greedily; the loss is of the known answer.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.conversations import as_messages
from common.program import make_parser, positive, run_main
from common.rows import read_rows, refuse_overlap, write_text
from common.training.examples import Example, encode
from common.training.small_training import load, losses, train, written
from superfiltering.agreement import RATES
from superfiltering.selection import length_of, random_rows, select, shared, spearman

LEARNING_RATE = 1e-3
CHANCE = 200  # random selections that "random" is the mean of


# ---------------------------------------------------------------- agreement


def agreement(weak: list[dict], strong: list[dict], seed: int) -> dict[str, dict[str, float]]:
    """Of the weak scorer's IFD and perplexity, of length and of chance with the strong scorer's IFD."""
    wanted = [row["ifd_ppl"] for row in strong]
    scores = {
        "weak IFD with strong IFD": [row["ifd_ppl"] for row in weak],
        "length with strong IFD": [float(length_of(row)) for row in weak],
    }
    found = {name: {"rho": spearman(values, wanted)} for name, values in scores.items()}
    perplexities = ([row["ppl_A_direct"] for row in rows] for rows in (weak, strong))
    found["weak PPL with strong PPL"] = {"rho": spearman(*perplexities)}
    found["chance"] = {}
    for rate in RATES:
        count, column = int(len(wanted) * rate), f"shared of best {rate:.0%}".replace("%", " %")
        best = select(wanted, count)
        for name, values in scores.items():
            chosen = select(values, count, below=1.0 if "IFD" in name.split(" with ")[0] else float("inf"))
            found[name][column] = shared(chosen, best)
        draws = [shared(random_rows(len(wanted), count, seed + draw), best) for draw in range(CHANCE)]
        found["chance"][column] = statistics.mean(draws)
    return found


# ---------------------------------------------------------------- students


def of_student(base: Path, rows: list[dict], test: list[dict], tokens: int, seed: int) -> dict[str, float]:
    """What the base knows after it was trained on these rows."""
    model, tokenizer = load(base)
    train(model, encoded(tokenizer, rows), tokens=tokens, learning_rate=LEARNING_RATE, seed=seed)
    right = [text == row["output"] for text, row in zip(written(model, tokenizer, test), test, strict=True)]
    return {"right": statistics.mean(right), "loss": statistics.mean(losses(model, encoded(tokenizer, test)))}


def encoded(tokenizer: Any, rows: list[dict]) -> list[Example]:
    return [encode(tokenizer, as_messages(row)) for row in rows]


def of_selection(rows: list[dict]) -> dict[str, float]:
    return {
        "rows": len(rows),
        "damaged": statistics.mean(bool(row["damage"]) for row in rows),
        "characters of an answer": statistics.mean(map(length_of, rows)),
    }


# ---------------------------------------------------------------- program


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", required=True, help="folder of a seed")
    parser.add_argument("--students", nargs="+", required=True, help="names of selections and their models")
    parser.add_argument("--save_path", required=True, help="the figures (.json)")
    parser.add_argument("--train_tokens", type=positive, required=True, help="tokens that each student sees")
    parser.add_argument("--seed", type=int, default=0, help="of the order of training, and of random selections")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = Path(args.folder)
    files = {name: folder / f"{name}.jsonl" for name in ("weak", "strong", "test", *args.students)}
    refuse_overlap([*files.values(), folder / "base"], [args.save_path])
    rows = {name: list(read_rows(file)) for name, file in files.items()}
    figures = {}
    for name in args.students:
        trained = of_student(folder / "base", rows[name], rows["test"], args.train_tokens, args.seed)
        figures[f"trained on {name}"] = of_selection(rows[name]) | trained
    figures |= agreement(rows["weak"], rows["strong"], args.seed)
    write_text(Path(args.save_path), json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
