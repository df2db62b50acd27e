"""Which of the accepted rows become training data: near-duplicates and pages used twice out, two WI for one WR."""

import json
import random
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from common.errors import CommonError
from common.manifest import hash_text
from webr import as_released
from webr.near_duplicates import find_near_duplicates, word_ids
from webr.sections import draws, sizes
from webr.training_rows import SIDES, page_of

TOKENIZED_AT_ONCE = 1000


class Rows:
    """The rows of all files, numbered in reading order: what becomes of each is in memory, the rows are in a file."""

    def __init__(self) -> None:
        self.sides: list[str] = []
        self.reasons: dict[int, str] = {}
        self.repeats: dict[int, int] = {}  # the row whose request, or page, it repeats
        self._file = tempfile.TemporaryFile()
        self._places = array("q")

    def add(self, row: dict, side: str) -> int:
        self._places.append(self._file.seek(0, 2))
        self._file.write(json.dumps(row, default=str).encode() + b"\n")
        self.sides.append(side)
        return len(self.sides) - 1

    def __getitem__(self, number: int) -> dict:
        self._file.seek(self._places[number])
        return json.loads(self._file.readline())

    def left(self, side: str | None = None) -> list[int]:
        return [n for n, its in enumerate(self.sides) if n not in self.reasons and side in (None, its)]

    def reject(self, number: int, reason: str, repeated: int | None = None) -> None:
        self.reasons[number] = reason
        if repeated is not None:
            self.repeats[number] = repeated

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


# ---------------------------------------------------------------- near-duplicates, pages used twice


def reject_near_duplicates(
    rows: Rows, tokenizer_name: str | None, threshold: float, num_perm: int, across: bool, paper_exact: bool
) -> None:
    """Requests that nearly repeat an earlier one, of the same side or (`across`) of either."""
    for numbers in [rows.left()] if across else [rows.left(side) for side in SIDES]:
        tokens = token_ids((rows[number]["request"] for number in numbers), tokenizer_name)
        found = find_near_duplicates(tokens, threshold, num_perm, paper_exact)
        for number, repeated in zip(numbers, found.tolist(), strict=True):
            if repeated >= 0:
                rows.reject(number, "near-duplicate request", numbers[repeated])


def token_ids(texts: Iterable[str], tokenizer_name: str | None) -> Iterator[Sequence[int]]:
    if tokenizer_name is None:
        yield from map(word_ids, texts)
        return
    from transformers import AutoTokenizer  # takes seconds, and runs on words do not need it

    try:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)
    except (OSError, ValueError) as error:
        raise CommonError(f"--tokenizer_model_name {tokenizer_name}: cannot be loaded: {error}") from error
    texts = iter(texts)
    while some := list(islice(texts, TOKENIZED_AT_ONCE)):
        yield from tokenizer(some)["input_ids"]


def reject_pages_used_twice(rows: Rows) -> None:
    """A page serves one response, and none if it is part of an instruction."""
    users = {hash_text(rows[number]["webpage"])[:32]: number for number in reversed(rows.left("WI"))}
    for number in rows.left("WR"):
        first = users.setdefault(hash_text(rows[number]["webpage"])[:32], number)
        if first != number:
            use = "an instruction" if rows.sides[first] == "WI" else "another response"
            rows.reject(number, f"page is used for {use}", first)


# ---------------------------------------------------------------- size and ratio


def choose(
    rows: Rows, save_num: int | None, ratio: Sequence[int] | None, seed: int
) -> tuple[list[int], dict[int, bool]]:
    """The numbers of the rows in the order of the output, and where the request of each goes first."""
    draw = random.Random(seed)
    sides = {side: rows.left(side) for side in SIDES}
    for numbers in sides.values():
        draw.shuffle(numbers)
    wanted = shares({side: len(numbers) for side, numbers in sides.items()}, save_num, ratio)
    chosen = [number for side in SIDES for number in sides[side][: wanted[side]]]
    draw.shuffle(chosen)
    # From seed and page, like all draws about one row: the same in another run with other rows.
    return chosen, {number: draws(seed, rows[number]["webpage"], "order").random() < 0.5 for number in chosen}


def choose_as_released(rows: Rows, save_num: int | None, seed: int) -> tuple[list[int], dict[int, bool]]:
    """The same by the released code's rule; equal to its result after `random.seed(seed)`."""
    responses = rows.left("WR")
    taken, answered, request_first = as_released.choose(
        rows.left("WI"), responses, lambda number: page_of(rows[number]), random.Random(seed)
    )
    if len(answered) < as_released.MOST["WR"]:
        for number in set(responses) - set(answered):
            rows.reject(number, "page is used already")
    chosen = [*taken, *answered][: save_num or as_released.SAVED]
    return chosen, dict(zip(taken, request_first, strict=True))


def shares(accepted: dict[str, int], save_num: int | None, ratio: Sequence[int] | None) -> dict[str, int]:
    """How many rows of each side: as many as the ratio lets, or exactly `save_num` of them."""
    if ratio is None and (save_num is None or not any(accepted.values())):
        return accepted
    ratio = ratio or [accepted[side] for side in SIDES]
    if save_num is not None:
        return dict(zip(SIDES, sizes(save_num, ratio), strict=True))
    times = min(accepted[side] // part for side, part in zip(SIDES, ratio, strict=True) if part)
    return {side: times * part for side, part in zip(SIDES, ratio, strict=True)}


def pages_needed(rows: Rows, pages: int, save_num: int, ratio: Sequence[int] | None) -> int:
    """How many pages the wanted number takes; an error if there were too few."""
    accepted = {side: len(rows.left(side)) for side in SIDES}
    wanted = {side: number for side, number in shares(accepted, save_num, ratio).items() if number}
    short = [
        f"{number:,} {side} wanted, {accepted[side]:,} accepted"
        for side, number in wanted.items()
        if number > accepted[side]
    ]
    if not all(accepted[side] for side in wanted):
        raise CommonError(
            f"--save_num {save_num:,} cannot be reached with any number of such pages: {', '.join(short)}"
        )
    needed = max(-(-pages * number // accepted[side]) for side, number in wanted.items())
    if short:
        raise CommonError(f"{pages_message(save_num, needed, pages)} ({', '.join(short)})")
    return needed


def pages_message(save_num: int, needed: int, pages: int) -> str:
    return f"{save_num:,} rows take about {needed:,} pages like these; there were {pages:,}"


def most_frequent_reasons(rows: Rows) -> str:
    counted = Counter(rows.reasons.get(number, "ratio of WI to WR") for number in range(len(rows.sides)))
    return ", ".join(f"{count:,} {reason}" for reason, count in counted.most_common(3))
