"""Figures of a set of training rows, and of the runs that it took to write them.

distinct([[1, 2, 3], [1, 2, 4]], 2)          # 0.75: of four pairs of neighbours three are different
near_repeats(["Sum 1 and 2.", "Sum 1 and 3."])     # 1
spent(Path("results/webr"))                  # tokens, seconds … of all steps below that folder
set_aside(Path("results/webr"))              # Counter of the reasons
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common import manifest
from common.rows import read_rows

LOOKED_AT = 2000  # rows whose requests are compared with one another
ALIKE = 90  # of 100, rapidfuzz's ratio: what repeats an earlier request
SPENT = {"requests": "requests", "tokens in": "tokens_in", "tokens out": "tokens_out"}


def distinct(texts: Iterable[Sequence[int]], n: int) -> float:
    """Of all runs of n tokens the share that is different from the others."""
    seen, total = set(), 0
    for tokens in texts:
        runs = list(zip(*(tokens[start:] for start in range(n)), strict=False))
        seen.update(runs)
        total += len(runs)
    return len(seen) / total if total else 0.0


def near_repeats(requests: Sequence[str]) -> int:
    """How many of the first ones nearly repeat one before them."""
    from rapidfuzz import fuzz, process

    looked_at = [" ".join(text.lower().split()) for text in requests[:LOOKED_AT]]
    repeats = 0
    for place, text in enumerate(looked_at):
        repeats += process.extractOne(text, looked_at[:place], scorer=fuzz.ratio, score_cutoff=ALIKE) is not None
    return repeats


def cut_to(rows: Sequence[dict], tokens: Sequence[int], budget: int, seed: int) -> list[dict]:
    """Rows at random, in their order, as many as have together at most that many tokens."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    taken, used = [], 0
    for place in order:
        if used + tokens[place] <= budget:
            taken.append(place)
            used += tokens[place]
    return [rows[place] for place in sorted(taken)]


def quartiles(values: Iterable[float]) -> dict[str, float] | None:
    ordered = sorted(values)
    if not ordered:
        return None
    return {
        name: round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 4)
        for name, share in (("quarter", 0.25), ("median", 0.5), ("three_quarters", 0.75))
    }


def spent(*folders: Path) -> dict[str, Any]:
    """Answers that came from the store count too: they were paid for once. Without a known price the cost is None."""
    total: Counter[str] = Counter()
    costs = []
    for folder in folders:
        for path in folder.rglob("*.manifest.json"):
            facts = manifest.read(path)
            counts = facts.get("counts", {})
            total.update({name: counts.get(key, 0) for key, name in SPENT.items()})
            total["requests"] += counts.get("from the store", 0)
            total["seconds"] += facts.get("seconds") or 0
            costs.append((facts.get("llm") or {}).get("cost_of_this_run"))
    known = [cost for cost in costs if cost is not None]
    figures = {name: total[name] for name in SPENT.values()}
    return figures | {"seconds": round(total["seconds"], 1), "cost": round(sum(known), 4) if known else None}


def set_aside(*folders: Path) -> Counter[str]:
    """Why rows went, numbers and quoted texts left out of the reasons."""
    reasons: Counter[str] = Counter()
    for folder in folders:
        for path in sorted(folder.rglob("*.rejected.jsonl")):
            reasons.update(general(row["reason"]) for row in read_rows(path))
        for path in sorted(folder.rglob("*.dropped.jsonl")):
            reasons.update(general(row["why"]) for row in read_rows(path, allow_nan=True) if "why" in row)
    return reasons


def general(reason: str) -> str:
    return re.sub(r"\d+(?:\.\d+)?", "N", re.sub(r"""(["'“«]).{0,200}?(["'”»])""", "…", reason))[:120]
