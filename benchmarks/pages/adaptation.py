"""Figures of the return by number of episodes seen before, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pages.families import LABELS, OVERVIEW, measured
from benchmarks.pages.tables import read_rows
from pearl_lightning.evaluation import AdaptationTable, Interval

STYLES = {  # colour and line style
    "pearl": ("#0969da", "-"),
    "pearl, wrong context": ("#bc4c00", ":"),
    "oracle": ("#1a7f37", "--"),
    "context_free": ("#6e7781", "--"),
    "ppo": ("#8250df", "-."),
    "evolution_strategy": ("#9a6700", "-."),
    "random": ("#bbbbbb", "-."),
}
SHOWN = ("pearl", "pearl, wrong context", "oracle", "context_free")
"""Agents in the figure of one family."""


def draw(axes: Axes, intervals: Sequence[Interval], label: str, colour: str, style: str = "-") -> None:
    """Draw the scores of one agent, one per number of episodes seen."""
    mean, low, high = np.array([(each.mean, each.low, each.high) for each in intervals]).T
    seen = np.arange(len(intervals))
    axes.errorbar(
        seen, mean, [mean - low, high - mean], color=colour, linestyle=style, marker="o", capsize=3, label=label
    )
    axes.set_xticks(seen)


def draw_tables(axes: Axes, tables: Mapping[str, AdaptationTable], agents: Sequence[str]) -> None:
    """Draw some agents of a split."""
    for agent in agents:
        draw(axes, [row.returns for row in tables[agent].episodes], LABELS[agent], *STYLES[agent])
    axes.grid(alpha=0.3)


def family(data: Path, name: str, splits: Sequence[str], title: str) -> Figure:
    """Plot the agents of a family that show whether it adapts, with one panel per split.

    Args:
        data: Folder of ``families.json``.
        name: Name of the family.
        splits: Names of its splits.
        title: Title of the figure.
    """
    figure = Figure(figsize=(4.2 * len(splits) + 2.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        draw_tables(axes, measured(data, name, split)["tables"], SHOWN)
        axes.set_xlabel("episodes of the task seen before")
        axes.set_title(split.replace("_", " ") if len(splits) > 1 else "", fontsize=10)
    panels[0].set_ylabel("team return per episode")
    figure.suptitle(title, fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def overview(data: Path) -> Figure:
    """Plot all agents of all families, with one panel per family."""
    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    panels = figure.subplots(2, 3).flat
    for axes, ((name, split), (title, *_)) in zip(panels, OVERVIEW.items(), strict=False):
        draw_tables(axes, measured(data, name, split)["tables"], list(LABELS))
        axes.set_title(f"{title}, {split.replace('_', ' ')}", fontsize=10)
        axes.set_xlabel("episodes of the task seen before", fontsize=8)
    legend = figure.axes[-1]
    legend.axis("off")
    legend.legend(*figure.axes[0].get_legend_handles_labels(), loc="center", fontsize=9, title="team return of")
    return figure


def packaged_agent(data: Path) -> Figure:
    """Plot the agent of the package in the simulator and in the real game, with one panel per kind of task."""
    rows = read_rows(data / "agent.csv")
    names = list(dict.fromkeys(row["tasks"] for row in rows))
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), sharey=True), names, strict=True):
        for place, label, colour in (("simulator", "simulator", "#0969da"), ("game", "real game", "#bc4c00")):
            columns = [f"{place}_return{end}" for end in ("", "_low", "_high")]
            chosen = [Interval(*(float(row[column]) for column in columns)) for row in rows if row["tasks"] == name]
            draw(axes, chosen, label, colour)
        axes.set_title(name.replace(", ", ",\n"), fontsize=9)
        axes.set_xlabel("episodes seen before", fontsize=8)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("team return per episode")
    figure.axes[0].legend(fontsize=8)
    return figure
