"""A report on a run: one HTML file that opens from disk, with no script, no network and nothing executable in it.

    write_report("out/report.html", "webr", "1,000 pages to 870 rows", [
        section("Where the pages went", funnel([Stage("pages", 1000), Stage("answered", 990, {"empty answer": 10})])),
        section("Lengths", histogram("response", [len(row["response"]) for row in rows], "characters")),
        section("Samples", samples([{"request": "...", "response": "..."}])),
    ])

Every function takes plain values and gives HTML. Texts are hostile: they come from web pages and models, so all of them
are escaped, cut, and kept from changing the direction of what stands around them.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.rows import write_text

SHOWN_CHARS = 1500  # of one text
MAX_BYTES = 2_000_000


@dataclass(slots=True)
class Stage:
    """How many rows are left after a stage, and how many went for which reason."""

    name: str
    left: int
    gone: Mapping[str, int] = field(default_factory=dict)


def write_report(path: str | Path, title: str, subtitle: str, sections: Iterable[str]) -> None:
    sections = list(sections)
    page = _PAGE.format(title=escape(title), subtitle=escape(subtitle), style=_STYLE, body="\n".join(sections))
    while len(page.encode()) > MAX_BYTES and len(sections) > 1:  # samples stand last, so they go first
        sections.pop()
        note = '<p class="note">The report was cut: what follows would not fit in 2 MB.</p>'
        body = "\n".join([*sections, note])
        page = _PAGE.format(title=escape(title), subtitle=escape(subtitle), style=_STYLE, body=body)
    write_text(Path(path), page)


def section(heading: str, *parts: str, note: str = "") -> str:
    note = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{note}{''.join(parts)}</section>"


def tiles(values: Mapping[str, str]) -> str:
    """A few figures, large."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in values.items())
    return f'<div class="tiles">{cells}</div>'


def funnel(stages: Sequence[Stage]) -> str:
    """A bar a stage, and under it what went and why."""
    most = max((stage.left for stage in stages), default=0) or 1
    rows = []
    for stage in stages:
        gone = sorted(stage.gone.items(), key=lambda item: (-item[1], item[0]))
        reasons = "".join(f"<li><b>−{count:,}</b> {escape(clip(reason, 200))}</li>" for reason, count in gone)
        rows.append(
            f'<div class="bar-row"><span class="name">{escape(stage.name)}</span>{_bar(stage.left / most)}'
            f'<span class="value">{stage.left:,} <i>{stage.left / most:.1%}</i></span></div>'
            + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def bars(counts: Mapping[str, int]) -> str:
    """A bar a name, with its share of all."""
    total, most = sum(counts.values()) or 1, max(counts.values(), default=0) or 1
    rows = (
        f'<div class="bar-row"><span class="name">{escape(name)}</span>{_bar(count / most)}'
        f'<span class="value">{count:,} <i>{count / total:.1%}</i></span></div>'
        for name, count in counts.items()
    )
    return f'<div class="bars">{"".join(rows)}</div>'


def _bar(share: float) -> str:
    return f'<span class="track"><span class="bar" style="width:{100 * share:.2f}%"></span></span>'


def histogram(name: str, values: Sequence[float], unit: str, bins: int = 30) -> str:
    """Counts in equal steps up to the 99th percentile; the last step holds everything above."""
    if not values:
        return f"<figure><figcaption><b>{escape(name)}</b> no values</figcaption></figure>"
    ordered = sorted(values)
    low, high = ordered[0], ordered[int(0.99 * (len(ordered) - 1))]
    step = (high - low) / bins or 1
    counts = [0] * bins
    for value in ordered:
        counts[min(int((value - low) / step), bins - 1)] += 1
    width, height, top = 600, 130, max(counts)
    drawn = []
    for place, count in enumerate(counts):
        tall = height * count / top
        until = ordered[-1] if place == bins - 1 else low + (place + 1) * step
        drawn.append(
            f'<rect x="{place * width / bins + 1:.1f}" y="{height - tall:.1f}" width="{width / bins - 2:.1f}"'
            f' height="{tall:.1f}" rx="2"><title>{low + place * step:,.4g} to {until:,.4g} {escape(unit)}: {count:,}'
            "</title></rect>"
        )
    middle = ordered[len(ordered) // 2]
    label = escape(f"{name}: {middle:,.4g} {unit} in the middle")
    caption = f"median {middle:,.4g}, from {low:,.4g} to {ordered[-1]:,.4g} {unit}, {len(values):,} values"
    return (
        f"<figure><figcaption><b>{escape(name)}</b> {escape(caption)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height + 20}" role="img" aria-label="{label}">{"".join(drawn)}'
        f'<line x1="0" y1="{height}" x2="{width}" y2="{height}"/><text x="0" y="{height + 15}">{low:,.4g}</text>'
        f'<text x="{width}" y="{height + 15}" text-anchor="end">{high:,.4g}{"+" if ordered[-1] > high else ""}</text>'
        "</svg></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{text_block(str(value), 300)}</td>"


def samples(cards: Iterable[Mapping[str, str]], shown: int = SHOWN_CHARS) -> str:
    """A card a row, its texts side by side. A key that starts with "#" is a short fact shown in the card's head."""
    drawn = []
    for card in cards:
        facts = "".join(
            f"<span>{escape(name[1:])} {text_block(value, 200)}</span>"
            for name, value in card.items()
            if name.startswith("#")
        )
        texts = "".join(
            f"<div><h3>{escape(name)}</h3>{text_block(value, shown)}</div>"
            for name, value in card.items()
            if not name.startswith("#")
        )
        drawn.append(f'<article><header>{facts}</header><div class="texts">{texts}</div></article>')
    return "".join(drawn) or '<p class="note">None.</p>'


def text_block(text: str, shown: int = SHOWN_CHARS) -> str:
    return f'<span class="text" dir="auto">{escape(clip(text, shown))}</span>'


def clip(text: str, shown: int) -> str:
    return text if len(text) <= shown else f"{text[:shown]} … [{len(text):,} characters]"


_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def escape(text: str) -> str:
    """No tag, no attribute's end, no control or direction mark: those are written out as [U+202E]."""
    return html.escape(_UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text), quote=True)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="subtitle">{subtitle}</p>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b1f27; --soft: #5d6675; --line: #dfe3ea;
  --bar: #3566c8; --track: #e9edf4; --gone: #b3411f; }
@media (prefers-color-scheme: dark) { :root { --page: #12151b; --card: #1b2029; --ink: #e7eaf0; --soft: #99a3b3;
  --line: #303744; --bar: #6f9bf0; --track: #262d39; --gone: #ef8a66; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans",
  "Noto Sans CJK SC", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; }
.subtitle { color: var(--soft); margin: 4px 0 24px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px;
  margin: 0 0 20px; }
h2 { font-size: 18px; margin: 0 0 12px; }
h3 { font-size: 12px; font-weight: 600; color: var(--soft); margin: 0 0 4px; }
.note { color: var(--soft); margin: -6px 0 14px; max-width: 75ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; margin-bottom: 8px; }
.tiles div { border-left: 3px solid var(--bar); padding: 2px 0 2px 12px; overflow-wrap: anywhere; }
.tiles b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: 13px; }
.bar-row { display: grid; grid-template-columns: minmax(90px, 190px) 1fr 130px; gap: 12px;
  align-items: center; padding: 4px 0; }
.name { overflow-wrap: anywhere; }
.track { display: block; height: 16px; background: var(--track); border-radius: 4px; overflow: hidden; }
.bar { display: block; height: 100%; min-width: 1px; background: var(--bar); border-radius: 4px; }
.value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.value i { display: inline-block; width: 52px; font-style: normal; color: var(--soft); font-size: 13px; }
.reasons { margin: 0 0 6px; padding: 0 0 0 26px; list-style: none; color: var(--soft); font-size: 13px; }
.reasons b { color: var(--gone); font-variant-numeric: tabular-nums; }
figure { margin: 0 0 18px; }
figcaption { color: var(--soft); font-size: 13px; margin-bottom: 6px; }
figcaption b { color: var(--ink); font-size: 15px; margin-right: 8px; }
svg { width: 100%; max-width: 760px; height: auto; display: block; }
rect { fill: var(--bar); }
line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
article { border: 1px solid var(--line); border-radius: 8px; margin: 0 0 14px; overflow: hidden; }
article header { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 8px 14px; background: var(--track);
  font-size: 13px; color: var(--soft); }
article header:empty { display: none; }
.texts { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); }
.texts > div { padding: 12px 14px; min-width: 0; border-top: 1px solid var(--line); }
.text { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
article header .text, td .text { color: var(--ink); }
.texts .text { display: block; max-height: 320px; overflow-y: auto; font-size: 14px; }
"""
