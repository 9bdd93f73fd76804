"""Every metric of the runs as curves, with what it means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pearl_lightning.report.charts import DASHES, Line, key, line_chart
from pearl_lightning.report.markup import folded, number, table
from pearl_lightning.report.meanings import HIDDEN, MEANINGS, SECTIONS, Meaning, family, meaning
from pearl_lightning.report.records import Point, RunRecord

AXES = {"update": "updates", "env_steps": "environment steps"}
OPEN = SECTIONS[:2]
"""Sections that a reader sees at once; the others unfold."""
INTERVALS = {"evaluation/return": ("return_low", "return_high"), "evaluation/win_rate": ("win_low", "win_high")}
"""Ends of the intervals in the tables of evaluations."""
Curves = list[tuple[int, str, list[Point]]]
"""Number of the run, which line of the family, its points."""


def curves(runs: Sequence[RunRecord]) -> str:
    """All figures, section by section; a family of metrics shares one, unless learners mean different things by it."""
    figures: dict[tuple[Meaning, str], Curves] = {}
    for index, run in enumerate(runs):
        for metric, points in run.metrics.items():
            if metric not in HIDDEN:
                name, variant = family(metric)
                what = meaning(name, run.class_name("model"))
                figures.setdefault((what, name), []).append((index, variant, points))
    order = [*MEANINGS, *(name for _, name in figures)]
    parts = []
    for section in SECTIONS:
        chosen = sorted((of for of in figures if of[0].section == section), key=lambda of: order.index(of[1]))
        drawn = "".join(_figure(runs, *of, figures[of]) for of in chosen)
        if drawn:
            parts.append(
                f"<h3>{escape(section)}</h3>{drawn}"
                if section in OPEN
                else folded(section, f'<div class="side-by-side">{drawn}</div>')
            )
    return "".join(parts) or "<p>Nothing was measured yet.</p>"


def _figure(runs: Sequence[RunRecord], what: Meaning, name: str, found: Curves) -> str:
    shown = [_shown([variant for i, variant, _ in found if i == index]) for index in range(len(runs))]
    lines = [(index, variant, points) for index, variant, points in found if variant in shown[index]]
    legend = "".join(_legend(runs, name, shown, *line) for line in lines)
    axes = list(AXES) if what.over_env_steps else ["update"]
    charts = "".join(
        f"<figure>{line_chart(_lines(runs, name, shown, lines, axis), title=_title(what, axis), x_label=AXES[axis])}"
        "</figure>"
        for axis in axes
        if any(math.isfinite(getattr(point, axis)) for _, _, points in lines for point in points)
    )
    left_out = "" if len(lines) == len(found) else " Some episodes between are left out here."
    numbers = folded("the numbers", _numbers(runs, found)) if name.startswith("evaluation/") else ""
    return (
        f'<section class="metric" data-metric="{escape(name)}"><h4>{escape(what.title)}</h4>'
        f'<p class="hint">{escape(what.text + left_out)}</p><ul class="legend">{legend}</ul>'
        f'<div class="charts">{charts}</div>{numbers}</section>'
    )


def _shown(variants: list[str]) -> list[str]:
    """As many of a run's lines as can be told apart, the solid one first: of episodes the last and some before."""
    if all(variant.isdecimal() for variant in variants):
        ordered = sorted(variants, key=int)
        chosen = ordered if len(ordered) <= DASHES else [*ordered[:2], ordered[len(ordered) // 2], ordered[-1]]
        return chosen[::-1]
    return variants[:DASHES]


def _lines(runs: Sequence[RunRecord], name: str, shown: list[list[str]], found: Curves, axis: str) -> list[Line]:
    return [
        Line(
            label=f"{runs[index].name}{_variant(name, variant)}",
            colour=index,
            dash=shown[index].index(variant),
            points=[(getattr(point, axis), point.value) for point in points if math.isfinite(getattr(point, axis))],
            band=_band(runs[index], name, variant, axis) if variant == shown[index][0] else (),
        )
        for index, variant, points in found
    ]


def _band(run: RunRecord, name: str, variant: str, axis: str) -> list[tuple[float, float, float]]:
    """The interval of an evaluation's curve, where the run's history has it."""
    band = []
    for entry in run.history:
        row: Mapping[str, Any] = {}
        ends = ("low", "high")
        if name == "evaluation/gain":
            row = entry["table"]["gain"]
        elif name in INTERVALS and int(variant) < len(entry["table"]["episodes"]):
            row, ends = entry["table"]["episodes"][int(variant)], INTERVALS[name]
        low, high = (row.get(end) for end in ends)
        if low is not None and high is not None:
            band.append((float(entry[axis]), float(low), float(high)))
    return band


def _legend(
    runs: Sequence[RunRecord], name: str, shown: list[list[str]], index: int, variant: str, points: list[Point]
) -> str:
    run = f"{escape(runs[index].name)}" if len(runs) > 1 else ""
    label = (run + _variant(name, variant)).removeprefix(", ") or "last"
    return f"<li>{key(index, shown[index].index(variant))}{label} <b>{number(points[-1].value, '.4g')}</b></li>"


def _variant(name: str, variant: str) -> str:
    if not variant:
        return ""
    if name.startswith("evaluation/z_std") or name.startswith("evaluation/coverage"):
        return f", after episode {int(variant) + 1}"
    if variant.isdecimal():
        return ", nothing seen before" if variant == "0" else f", {variant} seen before"
    return f", {escape(variant)}"


def _title(what: Meaning, axis: str) -> str:
    return f"{what.title} over {AXES[axis]}"


def _numbers(runs: Sequence[RunRecord], found: Curves) -> str:
    """One row per evaluation, one column per line of the family."""
    variants = list(dict.fromkeys(variant for _, variant, _ in found))
    rows: dict[tuple[int, int, float], dict[str, float]] = {}
    for index, variant, points in found:
        for point in points:
            rows.setdefault((index, point.update, point.env_steps), {})[variant] = point.value
    head = ["run", "updates", "environment steps", *(f"episode {v}" if v else "value" for v in variants)]
    body = [
        [escape(runs[index].name), number(update, ","), number(env_steps, ",.0f")]
        + [number(values.get(variant), ".4g") for variant in variants]
        for (index, update, env_steps), values in rows.items()
    ]
    return table(head, body, "numbers")
