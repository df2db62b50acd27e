"""How often each domain and use case occurs.

released_shares(entries)     # as the released plots: shares of all names, both lists or neither
shares(rows)                 # of labelled rows and of names, each name with its count
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

NO_MATCH, TYPO = "Sin coincidencia", "E"
TITLES = {"domains": "Top-10 Distribution of Domains for", "use_cases": "Top-20 Distribution of Use Cases for"}
AXES = {"domains": "Domains", "use_cases": "Use Cases"}
SHOWN = {"domains": 10, "use_cases": 20}
TICKS = {"domains": None, "use_cases": range(13)}
Entry = Mapping[str, str | None]


@dataclass(slots=True)
class Share:
    name: str
    count: int
    of_names: float  # percent
    of_rows: float  # percent of the rows that have a label of this kind; a row may have several names


def released_shares(entries: Sequence[Entry], kind: str) -> list[Share]:
    """Commonest first, equal ones as they came. Empty where the released plot ends with an error."""
    values = [None if entry[kind] == NO_MATCH else entry[kind] for entry in entries]
    counts = Counter(name.strip() for value in values if value is not None for name in value.split(","))
    del counts[TYPO]
    return _shares(counts, sum(value is not None for value in values))


def released_caption(entries: Sequence[Entry], kind: str, name: str) -> str:
    both = sum(all(entry[kind] not in (None, NO_MATCH) for kind in AXES) for entry in entries)
    return f"{TITLES[kind]} `{name}`\nExamples: {both:,}/{len(entries):,}"


def shares(rows: Iterable[Sequence[str]]) -> list[Share]:
    """Of lists of names, one a row; a name counts once a row."""
    counts: Counter[str] = Counter()
    labelled = 0
    for names in rows:
        counts.update(dict.fromkeys(names, 1))
        labelled += bool(names)
    return _shares(counts, labelled)


def _shares(counts: Counter[str], rows: int) -> list[Share]:
    total = counts.total()
    return [Share(name, count, count / total * 100, count / rows * 100) for name, count in counts.most_common()]
