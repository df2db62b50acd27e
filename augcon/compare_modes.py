"""How many natural rows each numbered difference from the released code touches (README, "What we changed").

    python -m augcon.compare_modes --data_path augcon/sample/articles.jsonl

in   articles {"article": "…"} (--text_column), what a model wrote for a node {"completion": "…"}, replies of the judge
     {"reply": "…"}, or rows of step 3 with scores (filtered.scored.jsonl); a point leaves out rows that lack what it
     needs
out  a table: the point, rows that it concerns, rows that come out otherwise, the switch that restores the released rule
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon import corpus
from augcon.demonstrations import released_verdict, verdict
from augcon.question_filter import filter_ranked, rank, released_filter
from augcon.tree_answer import parse, parse_released
from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import read_rows

Rule = Callable[[dict], bool]


def roots_differ(row: dict) -> bool:
    return corpus.roots(row["article"]) != corpus.released_roots(row["article"])


def characters_lost(row: dict) -> bool:
    """Whether the released code leaves a paragraph out."""
    return any(0 < len(line.strip()) <= 100 for line in row["article"].split("\n"))


def too_long(row: dict) -> bool:
    return any(len(chunk) > 500 for chunk in corpus.released_roots(row["article"]))


def answers_differ(row: dict) -> bool:
    released = parse_released(row["completion"])
    return parse(row["completion"]) != (released and tuple(part.strip() for part in released))


def question_is_short(row: dict) -> bool:
    found = parse(row["completion"])
    return found is not None and len(found.question) < 5


def verdicts_differ(row: dict) -> bool:
    return verdict(row["reply"]) is not released_verdict(row["reply"])


def kept_differ(row: dict) -> bool:
    texts = [row["questions"][place]["question"] for place in rank(row["scores"])]
    ours = [place for place, why in filter_ranked(texts, row["quota"]) if why is None]
    try:
        return ours != released_filter(texts, row["quota"])
    except ValueError:
        return True


# Number in the README, what differs, the switch, what a row must have, and whether this row comes out otherwise.
POINTS: list[tuple[str, str, str, tuple[str, ...], Rule]] = [
    ("2", "roots", "--paper_exact (step 1)", ("article",), roots_differ),
    ("2", "a root of more than 500 characters", "--paper_exact (step 1)", ("article",), too_long),
    ("2", "a paragraph left out", "--paper_exact (step 1)", ("article",), characters_lost),
    ("4", "what is read of an answer", "--paper_exact (step 1)", ("completion",), answers_differ),
    ("5", "the question is too short", "--paper_exact (step 1)", ("completion",), question_is_short),
    ("12", "questions that stay", "--paper_exact (step 3)", ("questions", "scores", "quota"), kept_differ),
    ("15", "the judge's verdict", "--paper_exact (step 4)", ("reply",), verdicts_differ),
]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="rows of one of these kinds")
    parser.add_argument("--text_column", default="article", help="column that holds an article")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows = [
        row | {"article": text if isinstance(text := row.get(args.text_column), str) else None}
        for row in read_rows(args.data_path, allow_nan=True)
    ]
    found = [
        (number, what, switch, concerned, sum(map(differs, concerned)))
        for number, what, switch, keys, differs in POINTS
        if (concerned := [row for row in rows if all(row.get(key) is not None for key in keys)])
    ]
    if not found:
        raise BadInput(f"{args.data_path}: no row has what a point looks at; see --help")
    for number, what, switch, concerned, touched in found:
        print(f"{number:>3}  {what:<36}{len(concerned):>8,}{touched:>8,}  {switch}")


if __name__ == "__main__":
    run_main(main)
