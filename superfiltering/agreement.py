"""How far two scorers of the same rows agree: correlation of their scores, and what their selections share."""

import math
from array import array
from collections.abc import Mapping, Sequence

from common.errors import BadInput, BadValue
from common.rows import read_rows
from superfiltering.selection import Scores, overlap, random_rows, score_of, select, shared, spearman

KEYS = ("ppl_A_direct", "ppl_A_condition", "ifd_ppl", "ifd_loss")
RATES = (0.05, 0.1, 0.15)  # the paper's


def read_scores(path: str, split: str | None, key: str) -> dict[str, array]:
    """The columns of scores that are there, among them `key`; NaN where a row has none."""
    columns = {name: array("d") for name in KEYS}
    seen: set[str] = set()
    for number, row in enumerate(read_rows(path, split, allow_nan=True)):
        seen |= row.keys() & columns.keys()
        for name, column in columns.items():
            try:
                column.append(score_of(row, name) if name in row else math.nan)
            except BadValue as why:
                raise BadInput(f"{path}, row {number}: {why.reason}") from None
    if key not in seen:
        raise BadInput(f"{path}: no row has {key!r}; run step 2")
    return {name: column for name, column in columns.items() if name in seen}


def agreement(
    first: Mapping[str, Scores], second: Mapping[str, Scores], key: str, rates: Sequence[float], below: float
) -> dict:
    """Spearman's rho of every score that both have, and for each rate what the best rows by `key` share."""
    total = len(first[key])
    if total != len(second[key]):
        raise BadInput(f"{total:,} and {len(second[key]):,} rows: not the same rows")
    selections = []
    for rate in rates:
        count = int(total * rate)
        ours, theirs = select(first[key], count, below), select(second[key], count, below)
        chance = random_rows(total, count, seed=0)
        agreed = {"shared": shared(ours, theirs), "jaccard": overlap(ours, theirs)}
        selections.append({"rate": rate, "rows": count} | agreed | {"shared_with_random": shared(chance, theirs)})
    rhos = {name: spearman(first[name], second[name]) for name in first if name in second}
    known = {name: None if math.isnan(rho) else rho for name, rho in rhos.items()}
    return {"rows": total, "spearman": known, "selections": selections}


def as_text(rho: float | None) -> str:
    return "none" if rho is None else f"{rho:.3f}"
