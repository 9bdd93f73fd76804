"""Curves as SVG inside a page: they take their colours from the page's style, so that they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 40
"""Margins of the plotted area within ``WIDTH`` x ``HEIGHT``."""
MAX_DRAWN = 240
"""Points of a line; of more, neighbours are averaged."""
MAX_MARKED = 40
"""Points up to which each has a mark that tells its numbers."""
DASHES = 4
"""Kinds of lines that the style tells apart, the first one solid."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve.

    Args:
        label: What it is.
        colour: Number of its run.
        dash: Which kind of line, below ``DASHES``.
        points: Where it goes through; a value that is not finite makes a gap.
        band: An interval around it, as (x, low, high).
    """

    label: str
    colour: int
    dash: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class _Scale:
    """Maps values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def line_chart(lines: Sequence[Line], *, title: str, x_label: str) -> str:
    """Curves over one axis as an ``<svg>`` element; a text where there is nothing finite to draw."""
    lines = [line for line in lines if _finite(line.points)]
    if not lines:
        return '<p class="nothing">Nothing finite to draw.</p>'
    xs = [x for line in lines for x, _ in _finite(line.points)]
    ys = [y for line in lines for _, y in _finite(line.points)]
    ys += [end for line in lines for _, *ends in line.band for end in ends if math.isfinite(end)]
    low, high = _around(min(ys), max(ys))
    x = _Scale(min(xs), max(max(xs), min(xs) + 1), LEFT, WIDTH - RIGHT)
    y = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, x_label)]
    parts += [_band(line, x, y) for line in lines if line.band]
    parts += [_curve(line, x, y, x_label) for line in lines]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def key(colour: int, dash: int) -> str:
    """A piece of a curve for a legend."""
    return (
        f'<svg class="key" viewBox="0 0 30 10" aria-hidden="true"><path class="line run-{colour} dash-{dash}" '
        'd="M1 5 H29"/></svg>'
    )


def ticks(low: float, high: float, intervals: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers within two ends, equally far apart.

    Args:
        low: Lower end.
        high: Upper end, above it.
        intervals: At most so many between them.
        whole: Whole numbers only, as counts are.
    """
    rough = max((high - low) / intervals, 1.0 if whole else 0.0)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(factor * magnitude for factor in factors if factor * magnitude >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, max(0, 2 - math.floor(math.log10(step)))) for index in range(first, last + 1)]


def short(value: float, largest: float) -> str:
    """A number for an axis whose largest one sets the unit, as 2.5, 12k or 1.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= 5 * size and value:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def thinned(points: Sequence[tuple[float, float]], limit: int = MAX_DRAWN) -> list[tuple[float, float]]:
    """Points as they are or, of more than ``limit``, the means of neighbours; one that is not finite spoils its own."""
    if len(points) <= limit:
        return list(points)
    edges = [round(index * len(points) / limit) for index in range(limit + 1)]
    bins = [points[first:last] for first, last in zip(edges[:-1], edges[1:], strict=True)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in bins]


def _around(low: float, high: float) -> tuple[float, float]:
    """Ends with some air; around a single value, too."""
    span = high - low if high - low > 1e-9 * max(abs(low), abs(high)) else abs(low) or 1.0
    return low - 0.06 * span, high + 0.06 * span


def _axes(x: _Scale, y: _Scale, x_label: str) -> str:
    x_ticks, y_ticks = ticks(x.low, x.high, whole=True), ticks(y.low, y.high)
    grid = "".join(f'<path d="M{LEFT} {y(tick)} H{WIDTH - RIGHT}"/>' for tick in y_ticks)
    top, right = (max(map(abs, each), default=0.0) for each in (y_ticks, x_ticks))
    names = "".join(
        f'<text x="{LEFT - 7}" y="{y(tick) + 4}" text-anchor="end">{short(tick, top)}</text>' for tick in y_ticks
    ) + "".join(
        f'<text x="{x(tick)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(tick, right)}</text>'
        for tick in x_ticks
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    names += f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    return f'<g class="grid">{grid}</g><g class="axis">{names}</g>'


def _curve(line: Line, x: _Scale, y: _Scale, x_label: str) -> str:
    drawn = thinned(line.points)
    pieces = [list(group) for is_finite, group in groupby(drawn, key=lambda p: math.isfinite(p[1])) if is_finite]
    # a piece of one point is a line without length, which round ends make a dot
    path = " ".join(
        "M" + " L".join(f"{x(a)} {y(b)}" for a, b in (piece if len(piece) > 1 else piece * 2)) for piece in pieces
    )
    curve = f'<path class="line run-{line.colour} dash-{line.dash}" d="{path}"/>'
    if len(line.points) > MAX_MARKED:
        return curve
    marks = "".join(
        f'<circle class="mark run-{line.colour}" cx="{x(a)}" cy="{y(b)}" r="3"><title>'
        f"{escape(line.label)}, {escape(x_label)} {a:,.0f}: {b:.6g}</title></circle>"
        for a, b in _finite(line.points)
    )
    return curve + marks


def _band(line: Line, x: _Scale, y: _Scale) -> str:
    known = [entry for entry in line.band if all(map(math.isfinite, entry))]
    if len(known) < 2:
        return ""
    border = [(a, low) for a, low, _ in known] + [(a, high) for a, _, high in reversed(known)]
    return f'<polygon class="band run-{line.colour}" points="{" ".join(f"{x(a)},{y(b)}" for a, b in border)}"/>'


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
