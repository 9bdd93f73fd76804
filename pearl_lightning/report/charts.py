"""Curves as inline SVG.

Colours come from the page's style sheet, so a chart follows the reader's light or dark mode, and each point shows its
values on hover. Matplotlib's SVG writer does neither: it writes fixed colours and no titles. Its charts are also at
least three times as large, and repeat element ids, which must be unique within a page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from pearl_lightning.report.rendering import render

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 40
"""Margins of the plotted area within ``WIDTH`` x ``HEIGHT``."""
MAX_DRAWN = 240
"""Largest number of points in a drawn line. If there are more, neighbouring points are averaged."""
MAX_MARKED = 40
"""Largest number of points for which each point has a mark with its values."""
DASHES = 4
"""Number of line styles; the first one is solid."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve.

    Args:
        label: Label of the curve.
        colour: Index of its run, which selects the colour.
        dash: Line style, below ``DASHES``.
        points: Points (x, y) of the curve; a value that is not finite leaves a gap.
        band: Interval around the curve, as (x, low, high).
    """

    label: str
    colour: int
    dash: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class _Scale:
    """Maps values linearly to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def line_chart(lines: Sequence[Line], *, title: str, x_label: str) -> Markup:
    """Draw curves in one chart as an ``<svg>`` element; return a text if no value is finite."""
    lines = [line for line in lines if _finite(line.points)]
    if not lines:
        return render("chart.html", curves=[])
    x, y = _scales(lines)
    x_ticks, y_ticks = ticks(x.low, x.high, whole=True), ticks(y.low, y.high)
    return render(
        "chart.html",
        title=title,
        x_label=x_label,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        x_ticks=[(x(tick), short(tick, max(map(abs, x_ticks)))) for tick in x_ticks],
        y_ticks=[(y(tick), short(tick, max(map(abs, y_ticks)))) for tick in y_ticks],
        bands=[(line.colour, border) for line in lines if (border := _band(line, x, y))],
        curves=[(line, _path(line, x, y), _marks(line, x, y)) for line in lines],
    )


def ticks(low: float, high: float, intervals: int = 5, *, whole: bool = False) -> list[float]:
    """Evenly spaced round numbers between two ends.

    Args:
        low: Lower end.
        high: Upper end, above ``low``.
        intervals: Largest number of intervals.
        whole: Return whole numbers only, for counts.
    """
    rough = max((high - low) / intervals, 1.0 if whole else 0.0)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(factor * magnitude for factor in factors if factor * magnitude >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, max(0, 2 - math.floor(math.log10(step)))) for index in range(first, last + 1)]


def short(value: float, largest: float) -> str:
    """Format a number for an axis, such as 2.5, 12k or 1.5M; the largest number on the axis sets the unit."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= 5 * size and value:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def thinned(points: Sequence[tuple[float, float]], limit: int = MAX_DRAWN) -> list[tuple[float, float]]:
    """Return the points, or means of neighbouring points if there are more than ``limit``.

    A mean is not finite if one of its points is not finite.
    """
    if len(points) <= limit:
        return list(points)
    edges = [round(index * len(points) / limit) for index in range(limit + 1)]
    bins = [points[first:last] for first, last in zip(edges[:-1], edges[1:], strict=True)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in bins]


def _around(low: float, high: float) -> tuple[float, float]:
    """Extend a range by a margin at both ends; the range may be a single value."""
    span = high - low if high - low > 1e-9 * max(abs(low), abs(high)) else abs(low) or 1.0
    return low - 0.06 * span, high + 0.06 * span


def _scales(lines: Sequence[Line]) -> tuple[_Scale, _Scale]:
    """Scales that contain all finite values of the lines and of their bands."""
    xs = [x for line in lines for x, _ in _finite(line.points)]
    ys = [y for line in lines for _, y in _finite(line.points)]
    ys += [end for line in lines for _, *ends in line.band for end in ends if math.isfinite(end)]
    low, high = _around(min(ys), max(ys))
    x = _Scale(min(xs), max(max(xs), min(xs) + 1), LEFT, WIDTH - RIGHT)
    return x, _Scale(low, high, HEIGHT - BOTTOM, TOP)


def _path(line: Line, x: _Scale, y: _Scale) -> str:
    """SVG path of a curve, with a gap at each value that is not finite."""
    drawn = thinned(line.points)
    pieces = [list(group) for is_finite, group in groupby(drawn, key=lambda p: math.isfinite(p[1])) if is_finite]
    # a piece of one point is drawn as a line of length zero; its round ends make it a dot
    return " ".join(
        "M" + " L".join(f"{x(a)} {y(b)}" for a, b in (piece if len(piece) > 1 else piece * 2)) for piece in pieces
    )


def _marks(line: Line, x: _Scale, y: _Scale) -> list[tuple[float, float, float, float]]:
    """Place and values of each mark, as (place x, place y, x, y); none for a long curve."""
    if len(line.points) > MAX_MARKED:
        return []
    return [(x(a), y(b), a, b) for a, b in _finite(line.points)]


def _band(line: Line, x: _Scale, y: _Scale) -> str:
    """Corners of the polygon around a line's interval; empty if fewer than two of its intervals are finite."""
    known = [entry for entry in line.band if all(map(math.isfinite, entry))]
    if len(known) < 2:
        return ""
    border = [(a, low) for a, low, _ in known] + [(a, high) for a, _, high in reversed(known)]
    return " ".join(f"{x(a)},{y(b)}" for a, b in border)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
