"""Table and figure of the point robot, from the files that ``benchmarks.point_robot`` writes."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.curve_runs import read_curves
from benchmarks.pages.tables import number, read_rows, table

VARIANTS = ("dense", "sparse")
FAMILIES = {f"point_robot_{variant}": variant for variant in VARIANTS}
"""Variants by the start of the names of their files."""
MOST_EPISODES = 4


def final(data: Path) -> list[str]:
    """Table of the last evaluation of every run."""
    rows = []
    for family, seeds in read_curves(data, FAMILIES).items():
        for seed, curve in seeds.items():
            returns = [number(curve.final(f"return_{episode}"), ".2f") for episode in range(MOST_EPISODES)]
            spent = [number(curve.final(name), ",.0f") for name in ("env_steps", "seconds")]
            rows.append([FAMILIES[family], str(seed), *returns, *spent])
    head = ["rewards", "seed", *(f"return after {episode}" for episode in range(MOST_EPISODES))]
    return table([*head, "environment steps", "seconds"], rows)


def plot(data: Path) -> Figure:
    """Plot the return at the end of training by number of episodes seen, with policies that know the rules."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    panels = dict(zip(VARIANTS, figure.subplots(1, len(VARIANTS)), strict=True))
    for family, seeds in read_curves(data, FAMILIES).items():
        axes = panels[FAMILIES[family]]
        for seed, curve in seeds.items():
            returns = [curve.final(f"return_{episode}") for episode in range(curve.episodes)]
            axes.plot(range(curve.episodes), returns, marker="o", label=f"seed {seed}")
            axes.set_xticks(range(curve.episodes))
    for row in read_rows(data / "point_robot_references.csv"):
        axes = panels[row["variant"]]
        axes.axhline(float(row["return"]), color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(row["policy"], (0.0, float(row["return"])), va="bottom", fontsize=8, color="grey")
    for variant, axes in panels.items():
        axes.set_title(f"{variant} rewards", fontsize=10)
        axes.set_xlabel("episodes of the task seen before")
        axes.grid(alpha=0.3)
    panels["dense"].set_ylabel("return on validation tasks")
    panels["sparse"].legend(fontsize=8)
    return figure
