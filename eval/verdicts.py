"""What a judge's review of two answers says, and what reviews in both orders say together.

parse_scores("8 7\\n\\nThe first is more to the point.")                           # (8.0, 7.0)
combine([{"scores": "[8.0, 7.0]", "scores_reverse": "[7.0, 7.0]"}])                # 1 win, winning score 2
"""

import json

from common.errors import BadInput, Reject

NOT_READ = [-1, -1]  # what the released code notes of a review without two scores


def parse_scores(review: str) -> tuple[float, float]:
    """The two numbers from 1 to 10 on the first line that is not empty; who writes otherwise has not judged."""
    pieces = review.strip().split("\n")[0].replace(",", " ").split()
    try:
        first, second = map(float, pieces)
    except ValueError:
        raise Reject("no two scores on the first line") from None
    if not (1 <= first <= 10 and 1 <= second <= 10):
        raise Reject("a score outside 1 to 10")
    return first, second


def released_scores(review: str) -> list[float]:
    """As released: the very first line, a comma read as a space, two pieces with one space between, any number."""
    pieces = review.split("\n")[0].replace(",", " ").split(" ")
    try:
        return [float(piece) for piece in pieces] if len(pieces) == 2 else NOT_READ
    except ValueError:
        return NOT_READ


def outcome(row: dict) -> int:
    """1: the first model wins, -1: it loses, 0: a tie."""
    first, second = shown_scores(row["scores"])
    second_reverse, first_reverse = shown_scores(row["scores_reverse"])
    return sign(sign(first - second) + sign(first_reverse - second_reverse))


def shown_scores(value: str | list) -> tuple[float, float]:
    """Released files hold the list as text: "[8.0, 6.0]"."""
    try:
        first, second = json.loads(value) if isinstance(value, str) else value
        return float(first), float(second)
    except (TypeError, ValueError):
        raise BadInput(f"scores {value!r}: expected two numbers, as in [8.0, 6.0]") from None


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def combine(rows: list[dict]) -> dict:
    outcomes = [outcome(row) for row in rows]
    wins, ties, losses = (outcomes.count(value) for value in (1, 0, -1))
    score = (wins - losses) / len(outcomes) + 1
    return {"wins": wins, "ties": ties, "losses": losses, "winning_score": score}


def average(rows: list[dict], key: str) -> str:
    pairs = [shown_scores(row[key]) for row in rows]
    return str([sum(column) / len(pairs) for column in zip(*pairs, strict=True)])
