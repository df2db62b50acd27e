"""What small models know that were trained on pages as they are, and on what WebR made of them; of one seed.

    python webr/score_small.py --folder out/seed1 --train_tokens 200000 --save_path out/seed1.json

in   FOLDER: pages, titles, facts, unseen (small_world.py), rebuilt/webr and unrefined/webr (step 5), the model start
out  {"raw pages": {"asked, written": …, "asked, one of four": …, …}, …}
All see as many tokens. Asked: facts that a rebuilt row asks for; stated: those that only pages state; page given: other
towns, with their page. Written: the value, and no other, stands in its answer; one of four: it finds the right answer
more likely than three with other values (chance: 0.25).
"""

import argparse
import copy
import json
import random
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.conversations import as_messages
from common.program import make_parser, positive, run_main
from common.rows import read_rows, refuse_overlap, write_text
from common.training.examples import Example, encode, encode_text
from common.training.small_training import LEARNING_RATE, load, losses, train, written
from webr.small_world import SENTENCES, VALUES

# ---------------------------------------------------------------- questions


def questions_of(rows: dict[str, list[dict]]) -> dict[str, list[dict]]:
    prompts = [row["messages"][0]["content"] for row in rows["rebuilt/webr"]]
    asked = [row for row in rows["facts"] if any(prompt.endswith(row["instruction"]) for prompt in prompts)]
    return {
        "asked": asked,
        "stated": [row for row in rows["facts"] if row not in asked],
        "page given": rows["unseen"],
    }


def is_right(row: dict, answer: str) -> bool:
    words = set(answer.replace(".", " ").split())
    return {value for value in VALUES[row["label"]] if value in words} == {row["value"]}


def choices(row: dict, rng: random.Random) -> list[dict]:
    """The row with its right answer first, and with three others."""
    others = rng.sample([value for value in VALUES[row["label"]] if value != row["value"]], 3)
    sentence = SENTENCES[row["label"]]
    return [row | {"output": sentence.format(town=row["town"], value=value)} for value in (row["value"], *others)]


def of_model(model: Any, tokenizer: Any, questions: dict[str, list[dict]], seed: int) -> dict[str, float]:
    figures = {}
    for name, rows in questions.items():
        answers = written(model, tokenizer, rows)
        figures[f"{name}, written"] = statistics.mean(map(is_right, rows, answers))
        rng = random.Random(seed)
        each = losses(model, encoded(tokenizer, [choice for row in rows for choice in choices(row, rng)]))
        found = [each[at] == min(each[at : at + 4]) for at in range(0, len(each), 4)]
        figures[f"{name}, one of four"] = statistics.mean(found)
    return figures


def commonest(questions: dict[str, list[dict]], known: list[dict]) -> dict[str, float]:
    """What always naming the value that most towns have would give: it needs no model."""
    top = {
        label: Counter(row["value"] for row in known if row["label"] == label).most_common(1)[0][0] for label in VALUES
    }
    return {
        f"{name}, written": statistics.mean(top[row["label"]] == row["value"] for row in rows)
        for name, rows in questions.items()
    }


# ---------------------------------------------------------------- training


def encoded(tokenizer: Any, rows: list[dict]) -> list[Example]:
    return [encode(tokenizer, as_messages(row)) for row in rows]


def parts_of(rows: dict[str, list[dict]], tokenizer: Any) -> dict[str, list[list[Example]]]:
    """What each model is trained on, one part after the other."""
    pages = [encode_text(tokenizer, row["webpage"]) for row in rows["pages"]]
    titles, rebuilt, unrefined = (
        encoded(tokenizer, rows[name]) for name in ("titles", "rebuilt/webr", "unrefined/webr")
    )
    return {
        "raw pages": [pages],
        "titles with pages": [titles],
        "rebuilt": [rebuilt],
        "rebuilt, not refined": [unrefined],
        "raw pages, then rebuilt": [pages, rebuilt],
    }


def trained(start: Any, parts: list[list[Example]], tokens: int, seed: int) -> Any:
    model = copy.deepcopy(start)
    for examples in parts:
        train(model, examples, tokens=tokens // len(parts), learning_rate=LEARNING_RATE, seed=seed)
    return model


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", required=True, help="folder of a seed")
    parser.add_argument("--save_path", required=True, help="the figures (.json)")
    parser.add_argument("--train_tokens", type=positive, required=True, help="tokens that each model sees")
    parser.add_argument("--seed", type=int, default=0, help="of the order of training")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = ("pages", "titles", "facts", "unseen", "rebuilt/webr", "unrefined/webr")
    files = {name: Path(args.folder) / f"{name}.jsonl" for name in names}
    refuse_overlap([*files.values(), Path(args.folder) / "start"], [args.save_path])
    rows = {name: list(read_rows(file)) for name, file in files.items()}
    start, tokenizer = load(Path(args.folder) / "start")
    questions = questions_of(rows)
    figures = {"commonest value": commonest(questions, rows["facts"])}
    for name, parts in parts_of(rows, tokenizer).items():
        model = trained(start, parts, args.train_tokens, args.seed)
        figures[name] = of_model(model, tokenizer, questions, args.seed)
        print(name, figures[name])
    write_text(Path(args.save_path), json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    run_main(main)
