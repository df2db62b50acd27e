"""A report on a run: one HTML file that opens from disk, with no script, no network and nothing executable in it.

    write_report("out/report.html", "webr", "1,000 pages to 870 rows", [
        section("Where they went", funnel([Stage("pages", 1000), Stage("author", 990, {"empty answer": 10})])),
        section("Lengths", histogram("response", {"kept": [...], "dropped": [...]}, "characters")),
        section("Samples", samples([{"request": "...", "response": "..."}])),
    ])

Every function takes plain values and gives HTML, from the macro of its name in templates/blocks.html. Texts are
hostile: they come from web pages and models, so all of them are escaped, cut, and kept from changing the direction of
what stands around them.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from common.report import plots
from common.rows import write_text

Item = TypeVar("Item")

SHOWN_CHARS = 1500  # of one text
MAX_BYTES = 2_000_000
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


@dataclass(slots=True)
class Stage:
    """How many rows are left after a stage, and how many went for which reason."""

    name: str
    left: int
    gone: Mapping[str, int] = field(default_factory=dict)


def write_report(path: str | Path, title: str, subtitle: str, sections: Iterable[str]) -> None:
    sections = list(sections)
    page = _page(title, subtitle, sections)
    while len(page.encode()) > MAX_BYTES and len(sections) > 1:  # samples stand last, so they go first
        sections.pop()
        note = Markup('<p class="note">The report was cut: what follows would not fit in 2 MB.</p>')
        page = _page(title, subtitle, [*sections, note])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), page)


def section(heading: str, *parts: str, note: str = "") -> str:
    return _block("section", heading, parts, note)


def tiles(values: Mapping[str, str]) -> str:
    """A few figures, large."""
    return _block("tiles", values)


def funnel(stages: Sequence[Stage]) -> str:
    """A bar a stage, and under it what went and why, most frequent first."""
    most = max((stage.left for stage in stages), default=0) or 1
    return _block(
        "funnel",
        [
            {
                "name": stage.name,
                "left": stage.left,
                "share": stage.left / most,
                "gone": [
                    (clip(reason, 200), count)
                    for reason, count in sorted(stage.gone.items(), key=lambda item: (-item[1], item[0]))
                ],
            }
            for stage in stages
        ],
    )


def bars(counts: Mapping[str, int]) -> str:
    """A bar a name, with its share of all; nothing where there is no name."""
    if not counts:
        return ""
    total, most = sum(counts.values()) or 1, max(counts.values(), default=0) or 1
    rows = [
        {"name": name, "count": count, "length": count / most, "share": count / total} for name, count in counts.items()
    ]
    return _block("bars", rows)


def histogram(
    name: str, values: Sequence[float] | Mapping[str, Sequence[float]], unit: str, bins: int | None = None
) -> str:
    """Counts in equal steps up to the 99th percentile; the last step holds everything above.

    Several groups of values ({"kept": ..., "dropped": ...}) lie over one another, each as shares of its own group.
    """
    groups = values if isinstance(values, Mapping) else {"": values}
    groups = {group: sorted(numbers) for group, numbers in groups.items()}
    ordered = sorted(number for numbers in groups.values() for number in numbers)
    if not ordered:
        return _block("figure", name, "no values", [], None)
    plot = plots.histogram(groups, ordered, unit, bins or plots.bins_for(len(ordered)))
    middle = ordered[len(ordered) // 2]
    spread = f"from {ordered[0]:,.4g} to {ordered[-1]:,.4g} {unit}".rstrip()
    caption = f"median {middle:,.4g}, {spread}; {len(ordered):,} values"
    if len(groups) > 1:
        caption += "; heights are shares of each group"
    return _block("figure", name, caption, list(groups), plot)


def curve(name: str, lines: Mapping[str, Sequence[tuple[float, float]]], caption: str) -> str:
    """Lines through points (x, y); each point says its values. A single point is no line: it is told in words."""
    lines = {group: list(points) for group, points in lines.items()}
    if any(len(points) > 1 for points in lines.values()):
        return _block("figure", name, caption, list(lines), plots.curves(lines))
    told = [f"{y:,.4g} at {x:,.4g}" for points in lines.values() for x, y in points]
    return _block("figure", name, f"{caption} one value: {', '.join(told)}" if told else "no values", [], None)


def side_by_side(*figures: str) -> str:
    return _block("side_by_side", figures)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = [
        [
            {"number": True, "text": f"{cell:,}"}
            if isinstance(cell, int | float)
            else {"number": False, "text": clip(str(cell), 300)}
            for cell in row
        ]
        for row in rows
    ]
    return _block("table", header, cells)


def fair_draw(items: Iterable[Item], shown: int, draw: random.Random) -> list[Item]:
    """So many of any number of items, each as likely as another, in their order; no more are held in memory."""
    kept: list[tuple[int, Item]] = []
    for number, item in enumerate(items):
        place = number if number < shown else draw.randrange(number + 1)
        if place < shown:
            kept[place : place + 1] = [(number, item)]
    return [item for _, item in sorted(kept, key=lambda entry: entry[0])]


def link(place: str, text: str) -> str:
    """To a file beside the page: a path, never an address."""
    return _block("link", "./" + quote(place), text)


def samples(cards: Iterable[Mapping[str, str]], shown: int = SHOWN_CHARS) -> str:
    """A card a row, its texts side by side. A key that starts with "#" is a short fact shown in the card's head."""
    return _block(
        "samples",
        [
            {
                "facts": [(name[1:], clip(value, 200)) for name, value in card.items() if name.startswith("#")],
                "texts": [(name, clip(value, shown)) for name, value in card.items() if not name.startswith("#")],
            }
            for card in cards
        ],
    )


def clip(text: str, shown: int) -> str:
    return text if len(text) <= shown else f"{text[:shown]} … [{len(text):,} characters]"


def escape(text: str) -> str:
    """No tag, no attribute's end, no control or direction mark: those are written out as [U+202E]."""
    return str(Markup.escape(_visible(text)))


def _visible(value: Any) -> Any:
    """Applied to every value that a template writes."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _block(macro: str, *values: Any) -> str:
    return getattr(_templates().get_template("blocks.html").module, macro)(*values)


def _page(title: str, subtitle: str, sections: Sequence[str]) -> str:
    return _templates().get_template("page.html").render(title=title, subtitle=subtitle, sections=sections)
