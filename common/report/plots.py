"""Where the bars, points and ticks of a figure lie. Plain numbers; the template draws them."""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 600, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 590, 10, 165  # of the area that is drawn in


def bins_for(count: int) -> int:
    """A bin holds enough values to mean something: 5 bins for a dozen, 30 for some thousands."""
    return max(5, min(30, round(2 * count ** (1 / 3))))


def histogram(groups: Mapping[str, Sequence[float]], ordered: Sequence[float], unit: str, bins: int) -> dict:
    low, high = ordered[0], ordered[int(0.99 * (len(ordered) - 1))]
    step = (high - low) / bins or 1
    several = len(groups) > 1
    counts = {group: [0] * bins for group in groups}
    for group, values in groups.items():
        for value in values:
            counts[group][min(int((value - low) / step), bins - 1)] += 1
    heights = {
        group: [count / (max(1, len(groups[group])) if several else 1) for count in found]
        for group, found in counts.items()
    }
    ticks = _ticks(0, max(max(found) for found in heights.values()) or 1, whole=not several)
    top = ticks[-1]
    wide = (RIGHT - LEFT) / bins
    drawn = []
    for number, (group, found) in enumerate(heights.items()):
        for place, tall in enumerate(found):
            until = ordered[-1] if place == bins - 1 else low + (place + 1) * step
            label = f"{group + ', ' if group else ''}{low + place * step:,.4g} to {until:,.4g} {unit}".rstrip()
            pixels = (BOTTOM - TOP) * tall / top
            drawn.append(
                {
                    "group": number % 5,
                    "x": round(LEFT + place * wide + 1, 1),
                    "y": round(BOTTOM - pixels, 1),
                    "width": round(max(wide - 2, 1), 1),
                    "height": round(pixels, 1),
                    "label": f"{label}: {counts[group][place]:,}",
                }
            )
    last = low + bins * step
    columns = [
        {"at": round(LEFT + (tick - low) / (last - low) * (RIGHT - LEFT), 1), "label": _label(tick)}
        for tick in _ticks(low, last)
        if low <= tick <= last
    ]
    return _plot(ticks, top, columns, several) | {"bars": drawn, "curves": []}


def curves(lines: Mapping[str, Sequence[tuple[float, float]]]) -> dict:
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    low, high = min(xs), max(xs)
    wide = (high - low) or 1
    ticks = _ticks(min(0, *ys), max(ys) or 1)
    top, bottom = ticks[-1], min(ticks[0], 0)

    def place(x: float, y: float) -> tuple[float, float]:
        down = (y - bottom) / ((top - bottom) or 1) * (BOTTOM - TOP)
        return round(LEFT + (x - low) / wide * (RIGHT - LEFT), 1), round(BOTTOM - down, 1)

    drawn = []
    for number, (group, points) in enumerate(lines.items()):
        marks = [
            dict(zip("xy", place(x, y), strict=True)) | {"label": f"{group}: {x:,.4g}, {y:,.4g}"} for x, y in points
        ]
        path = " ".join(f"{mark['x']},{mark['y']}" for mark in marks)
        drawn.append({"group": number % 5, "points": path, "marks": marks})
    columns = [{"at": place(tick, 0)[0], "label": _label(tick)} for tick in _ticks(low, high) if low <= tick <= high]
    rows = [{"at": place(low, tick)[1], "label": _label(tick)} for tick in ticks]
    return _plot([], 1, columns, False) | {"rows": rows, "bars": [], "curves": drawn}


def _plot(ticks: Sequence[float], top: float, columns: list[dict], as_shares: bool) -> dict:
    rows = [
        {
            "at": round(BOTTOM - (BOTTOM - TOP) * tick / top, 1),
            "label": f"{100 * tick:.3g}%" if as_shares else _label(tick),
        }
        for tick in ticks
    ]
    frame = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM}
    return frame | {"rows": rows, "columns": columns}


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Three to six round numbers from at most `low` to at least `high`."""
    rough = (high - low) / 4 or 1
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    step = max(step, 1) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _label(value: float) -> str:
    return f"{value:,.10g}" if abs(value) < 1e5 or value % 1 == 0 else f"{value:,.3g}"
