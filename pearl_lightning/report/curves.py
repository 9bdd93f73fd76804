"""Figures of all metrics of the runs, section by section."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pearl_lightning.evaluation.result import AdaptationTable
from pearl_lightning.evaluation.statistics import Interval
from pearl_lightning.report.charts import DASHES, Line, line_chart
from pearl_lightning.report.meanings import HIDDEN, MEANINGS, SECTIONS, Meaning, family, meaning
from pearl_lightning.report.records import Point, RunRecord
from pearl_lightning.report.rendering import is_known

AXES = {"update": "updates", "env_steps": "environment steps"}
_INTERVALS = {
    "evaluation/return": "returns",
    "evaluation/win_rate": "wins",
    "evaluation/success_rate": "successes",
}
"""Property of an episode's row with the interval of a metric."""
OPEN = SECTIONS[:2]
"""Sections that a reader sees at once; the others unfold."""


@dataclass(frozen=True)
class Curve:
    """One metric of one run.

    Args:
        colour: Index of the run, which selects the colour.
        variant: Name of the curve within its family of metrics, such as the number of episodes seen.
        points: Values of the metric.
        dash: Line style; None if the curve is not drawn.
    """

    colour: int
    variant: str
    points: list[Point]
    dash: int | None = None


@dataclass(frozen=True)
class Figure:
    """A family of metrics with one meaning, such as the returns of all episodes.

    Args:
        runs: All runs of the page.
        name: Name of the family.
        meaning: Explanation of the family.
        curves: Curves of all runs, also those that are not drawn.
    """

    runs: Sequence[RunRecord]
    name: str
    meaning: Meaning
    curves: list[Curve]

    @property
    def shown(self) -> list[Curve]:
        """The drawn curves."""
        return [curve for curve in self.curves if curve.dash is not None]

    @property
    def leaves_out(self) -> bool:
        """Whether some curves are not drawn."""
        return len(self.shown) < len(self.curves)

    @property
    def has_numbers(self) -> bool:
        """Whether the page also contains the numbers as a table."""
        return self.name.startswith("evaluation/")

    def legend(self, curve: Curve) -> str:
        """Label of a curve in the legend; it contains the run's name if there are several."""
        run = self.runs[curve.colour].name if len(self.runs) > 1 else ""
        return (run + self._variant(curve)).removeprefix(", ") or "last"

    def charts(self) -> Iterator[Markup]:
        """Draw the curves over each axis on which they have a value."""
        for axis in AXES if self.meaning.over_env_steps else ["update"]:
            if any(math.isfinite(getattr(point, axis)) for curve in self.shown for point in curve.points):
                lines = [self._line(curve, axis) for curve in self.shown]
                yield line_chart(lines, title=f"{self.meaning.title} over {AXES[axis]}", x_label=AXES[axis])

    def numbers(self) -> tuple[list[str], list[tuple[str, int, float, list[float | None]]]]:
        """Names of the variants, and for each evaluation: run, updates, environment steps, value of each variant."""
        variants = list(dict.fromkeys(curve.variant for curve in self.curves))
        rows: dict[tuple[int, int, float], dict[str, float]] = {}
        for curve in self.curves:
            for point in curve.points:
                rows.setdefault((curve.colour, point.update, point.env_steps), {})[curve.variant] = point.value
        names = [f"episode {variant}" if variant else "value" for variant in variants]
        return names, [
            (self.runs[colour].name, update, env_steps, [values.get(variant) for variant in variants])
            for (colour, update, env_steps), values in rows.items()
        ]

    def _line(self, curve: Curve, axis: str) -> Line:
        points = [(getattr(point, axis), point.value) for point in curve.points]
        return Line(
            label=f"{self.runs[curve.colour].name}{self._variant(curve)}",
            colour=curve.colour,
            dash=curve.dash or 0,
            points=[(x, y) for x, y in points if math.isfinite(x)],
            band=self._band(curve, axis) if curve.dash == 0 else (),
        )

    def _band(self, curve: Curve, axis: str) -> list[tuple[float, float, float]]:
        """The interval around an evaluation's curve, as far as the run's history contains it."""
        band = []
        for evaluation in self.runs[curve.colour].history:
            found = _interval(evaluation.table, self.name, curve.variant)
            if found is not None and is_known(found.low, found.high):
                band.append((float(getattr(evaluation, axis)), float(found.low), float(found.high)))
        return band

    def _variant(self, curve: Curve) -> str:
        variant = curve.variant
        if not variant:
            return ""
        if self.name.startswith(("evaluation/z_std", "evaluation/coverage")):
            return f", after episode {int(variant) + 1}"
        if variant.isdecimal():
            return ", nothing seen before" if variant == "0" else f", {variant} seen before"
        return f", {variant}"


def sections(runs: Sequence[RunRecord]) -> list[tuple[str, bool, list[Figure]]]:
    """Name, whether it is open, and figures of each section that has any.

    A family of metrics shares a figure if it has one meaning in all runs.
    """
    families: dict[tuple[Meaning, str], list[Curve]] = {}
    for colour, run in enumerate(runs):
        found: dict[str, dict[str, list[Point]]] = {}
        for metric, points in run.metrics.items():
            if metric not in HIDDEN:
                name, variant = family(metric)
                found.setdefault(name, {})[variant] = points
        for name, variants in found.items():
            families.setdefault((meaning(name, run.class_name("model")), name), []).extend(_curves(colour, variants))
    order = [*MEANINGS, *(name for _, name in families)]
    figures = [Figure(runs, name, what, curves) for (what, name), curves in families.items()]
    figures.sort(key=lambda figure: order.index(figure.name))
    chosen = {section: [each for each in figures if each.meaning.section == section] for section in SECTIONS}
    return [(section, section in OPEN, each) for section, each in chosen.items() if each]


def _curves(colour: int, variants: dict[str, list[Point]]) -> list[Curve]:
    """Curves of one run and family, with the line styles of those that are drawn."""
    styles = {variant: dash for dash, variant in enumerate(_shown(list(variants)))}
    return [Curve(colour, variant, points, styles.get(variant)) for variant, points in variants.items()]


def _shown(variants: list[str]) -> list[str]:
    """Select at most ``DASHES`` curves, the solid one first; of episodes, the last and some earlier ones."""
    if all(variant.isdecimal() for variant in variants):
        ordered = sorted(variants, key=int)
        chosen = ordered if len(ordered) <= DASHES else [*ordered[:2], ordered[len(ordered) // 2], ordered[-1]]
        return chosen[::-1]
    return variants[:DASHES]


def _interval(found: AdaptationTable, name: str, variant: str) -> Interval | None:
    """The interval of a metric in the table of an evaluation; None if the metric has none."""
    if name == "evaluation/gain":
        return found.gain
    if name not in _INTERVALS or int(variant) >= len(found.episodes):
        return None
    interval: Interval | None = getattr(found.episodes[int(variant)], _INTERVALS[name])
    return interval
