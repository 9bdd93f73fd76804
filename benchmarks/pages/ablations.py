"""Tables and figure of the ablations, from ``ablations.json``, which ``benchmarks.ablations`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.pages.tables import table
from pearl_lightning.evaluation import AdaptationTable, Interval, format_interval

AS_IT_IS = "as configured"
"""Name of the variant without a change."""


def measured(data: Path) -> list[dict[str, Any]]:
    """Return the results of all splits, in the order of the file."""
    return json.loads((data / "ablations.json").read_text(encoding="utf-8"))


def leads(data: Path) -> list[str]:
    """Table of each variant's lead over the config."""
    rows = [
        [entry["family"], entry["split"], variant, format_interval(Interval.from_json(lead["return"]), "+.2f")]
        for entry in measured(data)
        for variant, lead in entry["leads"].items()
    ]
    return table(["family", "tasks", "variant", "return minus that of the config"], rows)


def variants(data: Path, family: str, split: str) -> list[str]:
    """Table of a split with one row per variant."""
    entry = {(each["family"], each["split"]): each for each in measured(data)}[family, split]
    tables = {variant: AdaptationTable.from_json(each) for variant, each in entry["tables"].items()}
    has_wins = tables[AS_IT_IS].win_gain is not None
    last = len(tables[AS_IT_IS].episodes) - 1
    head = ["variant", *(f"return after {episode}" for episode in range(last + 1)), "gain"]
    rows = []
    for variant, each in tables.items():
        row = [variant, *(f"{episode.return_mean:.2f}" for episode in each.episodes), format_interval(each.gain)]
        rows.append(row + ([f"{100 * each.episodes[-1].win_rate:.1f} %"] if has_wins else []))
    return table([*head, *([f"won after {last}"] if has_wins else [])], rows)


def plot(data: Path) -> Figure:
    """Plot each variant's lead over the config with its 95 % interval."""
    entries = measured(data)
    sizes = [len(entry["leads"]) for entry in entries]
    figure = Figure(figsize=(7.5, 0.27 * sum(sizes) + 0.55 * len(entries) + 0.5), layout="constrained")
    panels = figure.subplots(len(entries), 1, sharex=True, squeeze=False, height_ratios=[size + 0.6 for size in sizes])
    for axes, entry in zip(panels[:, 0], entries, strict=True):
        found = [Interval.from_json(lead["return"]) for lead in entry["leads"].values()]
        means = [each.mean for each in found]
        ends = [[each.mean - each.low for each in found], [each.high - each.mean for each in found]]
        axes.errorbar(means, range(len(found)), xerr=ends, fmt="o", capsize=2, color="#0969da")
        axes.axvline(0.0, color="grey", linewidth=0.8)
        axes.set_yticks(range(len(found)), list(entry["leads"]), fontsize=8)
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.set_title(f"{entry['family']}, {entry['split']}", fontsize=9, loc="left")
        axes.grid(axis="x", alpha=0.3)
    panels[-1, 0].set_xlabel("return minus that of the config, last episode")
    return figure
