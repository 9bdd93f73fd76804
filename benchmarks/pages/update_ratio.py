"""Table and figure of ratios of updates to environment steps, from the files of ``benchmarks.update_ratio``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.curve_runs import read_curves
from benchmarks.curves import Curve
from benchmarks.pages.tables import number, table
from benchmarks.update_ratio import EVERY, file_family

LEVEL = -8.0
"""Return after one episode whose first occurrence is reported; going straight to the goal returns -5.2."""
SPENT = {"env_steps": ("environment steps", 1000, "thousand environment steps"), "seconds": ("seconds", 60, "minutes")}
"""Name, unit and axis of what training spends, by column of the files."""


def _runs(data: Path) -> Mapping[str, Mapping[int, Curve]]:
    """Curves by ratio and seed, in the order of the ratios."""
    families = {file_family(ratio): ratio for ratio in EVERY}
    return {families[family]: seeds for family, seeds in read_curves(data, families).items()}


def first_reached(curve: Curve, column: str, level: float = LEVEL) -> float:
    """Time or steps spent before the first evaluation with such a return after one episode; NaN if there is none.

    Args:
        curve: Evaluations of a run.
        column: Name of what was spent, one of ``SPENT``.
        level: Lowest such return.
    """
    reached = np.flatnonzero(curve.columns["return_1"] >= level)
    return float(curve.columns[column][reached[0]]) if len(reached) else np.nan


def finding(data: Path) -> list[str]:
    """Main result as one sentence."""
    texts = []
    for ratio, seeds in _runs(data).items():
        steps = np.array([first_reached(curve, "env_steps") for curve in seeds.values()])
        played = max(curve.env_steps[-1] for curve in seeds.values())
        needed = f"{steps.mean():,.0f}" if np.isfinite(steps).all() else f"more than {played:,.0f}"
        texts.append(f"{needed} with {ratio} updates per step")
    if not texts:
        return ["No ratio has been run yet."]
    return [
        f"To a return of {LEVEL:g} in the second episode, the dense point robot needs this number of environment "
        f"steps: {', '.join(texts)}."
    ]


def returns(data: Path) -> list[str]:
    """Table of all runs: what was spent until ``LEVEL``, and the last evaluation."""
    rows = [
        [
            ratio,
            str(seed),
            *(number(first_reached(curve, column), ",.0f") for column in SPENT),
            *(number(curve.final(f"return_{episode}"), ".1f") for episode in range(curve.episodes)),
            *(number(curve.final(column), ",.0f") for column in ("updates", *SPENT)),
        ]
        for ratio, seeds in _runs(data).items()
        for seed, curve in seeds.items()
    ]
    head = ["updates per step", "seed", *(f"{name} to {LEVEL:g}" for name, _, _ in SPENT.values())]
    head += [*(f"return after {episode}" for episode in range(3)), "updates", *(name for name, _, _ in SPENT.values())]
    return table(head, rows)


def plot(data: Path) -> Figure:
    """Plot the return after one episode over environment steps and over time."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (column, (_, unit, label)) in zip(panels, SPENT.items(), strict=True):
        for ratio, seeds in _runs(data).items():
            colour = f"C{list(EVERY).index(ratio)}"
            for place, curve in enumerate(seeds.values()):
                text = f"{ratio} updates per step" if place == 0 else None
                axes.plot(curve.columns[column] / unit, curve.columns["return_1"], color=colour, label=text)
        axes.axhline(LEVEL, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("return after one episode")
    panels[1].set_xscale("symlog", linthresh=1)
    panels[1].set_xlim(left=0)
    panels[1].set_xticks([0, 1, 3, 10, 30], ["0", "1", "3", "10", "30"])
    panels[0].legend(fontsize=8)
    return figure
