"""A uniform sample of the rows of many files, in one pass, in the order of the files.

sample_rows(rows, 50_000, seed=0)                              # each row is as likely as any other
sample_rows(rows, 50_000, seed=0, group=lambda row: lang)      # as many of each group, as far as they go
"""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from common.errors import BadRow
from common.languages import detect_language
from common.step import Step

Row = TypeVar("Row")


def sample_rows(rows: Iterable[Row], number: int, seed: int, group: Callable[[Row], str] = lambda row: "") -> list[Row]:
    """Reservoirs, one a group: memory holds `number` rows of each."""
    rng = random.Random(seed)
    reservoirs: dict[str, list[tuple[int, Row]]] = {}
    seen: dict[str, int] = {}
    for place, row in enumerate(rows):
        name = group(row)
        reservoir = reservoirs.setdefault(name, [])
        seen[name] = seen.get(name, 0) + 1
        if len(reservoir) < number:
            reservoir.append((place, row))
        elif (at := rng.randrange(seen[name])) < number:
            reservoir[at] = (place, row)
    chosen = []
    # The smallest group first: what it cannot give is shared by those that are left.
    for left, name in zip(range(len(reservoirs), 0, -1), sorted(reservoirs, key=lambda n: (seen[n], n)), strict=True):
        reservoir = reservoirs[name]
        share = -(-(number - len(chosen)) // left)
        chosen += rng.sample(reservoir, min(share, len(reservoir)))
    return [row for _, row in sorted(chosen, key=lambda found: found[0])]


def sampler(number: int | None, seed: int, column: str | None = None) -> Callable | None:
    """For SampledStep: `number` of its (index, row), as many of each language if the texts' column is given."""

    def language(found: tuple[int, dict | BadRow]) -> str:
        return detect_language(str(found[1].get(column, ""))) if isinstance(found[1], dict) else ""

    groups = {"group": language} if column else {}
    return partial(sample_rows, number=number, seed=seed, **groups) if number else None


class SampledStep(Step):
    """A step on a sample of its input, or on its first rows; `number_rows` gives each row its place in the input."""

    def __init__(
        self,
        *args: Any,
        sample: Callable[[Iterator[tuple[int, dict | BadRow]]], list[tuple[int, dict | BadRow]]] | None = None,
        first: int | None = None,
        number_rows: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._sample, self._first, self._number_rows = sample, first, number_rows
        self._places: list[int] = []  # in the input, of the rows of the sample

    def scan(self) -> Iterator[tuple[int, dict | BadRow]]:
        rows = islice(super().scan(), self._first)
        if self._sample:
            rows = self._sample(rows)
            self.counts["not sampled"] = self.counts["in"] - len(rows)
            self.counts["in"] = len(rows)
        for place, (index, row) in enumerate(rows):
            if self._sample:
                self._places.append(index)
            yield place, row if isinstance(row, BadRow) or not self._number_rows else row | {"row": index}

    def bad_row(self, index: int, why: Any, row: Any) -> tuple[int, str, Any]:
        """Named by its place in the input, not in the sample."""
        return index, *super().bad_row(self._places[index] if self._places else index, why, row)[1:]


def step_on_documents(
    data_path: str, rows_path: str, released: Path | None, prompt_path: str | None, **options: Any
) -> SampledStep:
    """The released file is a side output, and needs row numbers; the prompt of the user is something that is read."""
    writes, reads = [released] if released else [], [prompt_path] if prompt_path else []
    return SampledStep([data_path], rows_path, number_rows=bool(released), writes=writes, reads=reads, **options)
