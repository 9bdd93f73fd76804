"""Results of ``benchmarks.families`` as a page and a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.family_measures import EPISODES, UNOBSERVED
from pearl_lightning.evaluation import AdaptationTable, format_comparison, format_interval

LEGEND = """\
Team return and share of matches won on test tasks by number of episodes of context, with the matches of
all seeds pooled. The gain is paired within a match. The 95 % intervals are over matches, not over seeds;
those of leads are over matches, each of which has the mean of an agent's seeds. The context-free agent and the oracle
play the checkpoint that was best on the validation tasks, all others their last checkpoint.
*Headroom* is the lead of the oracle, which observes the task, over the context-free agent. An agent can adapt only
if there is headroom. The oracle is trained too, so it is not an upper bound; it does not observe new styles.
In bounties, blind_loadouts and sentinels, PEARL is trained with task inference, from privileged information. In
opponents and sentinels, PEARL, the context-free agent and the oracle also learn from demonstrations of a script. PPO
and the evolution strategy use neither. They are trained with the first seed only, for at least the steps and seconds
of PEARL. At equal seconds, those of the faster run, the validation returns during training are compared."""


def write_table(measured: list[dict[str, Any]], path: Path, made_by: str) -> None:
    """Write the tables of all splits as Markdown.

    Args:
        measured: Results of ``family_measures.measure``.
        path: File to write.
        made_by: Text on how the results were made.
    """
    lines = ["# Derk's task families", "", *made_by.splitlines(), "", *LEGEND.splitlines()]
    for entry in measured:
        lines += ["", f"## {entry['family']}, {entry['split']}", "", *_agents(entry)]
        lines += ["", *_leads(entry), *by_kind(entry["tables"])]
    path.write_text("\n".join([*lines, "", "![returns](families.png)"]) + "\n", encoding="utf-8")


def _agents(entry: dict[str, Any]) -> Iterator[str]:
    """Table of all agents on a split."""
    has_wins = entry["tables"]["pearl"].win_gain is not None
    head = ["agent", *(f"after {episode}" for episode in range(EPISODES)), "gain", "each seed's last"]
    head += ["won after 0", f"won after {EPISODES - 1}", "gain of wins"] if has_wins else []
    head += ["million steps", "seconds"]
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for agent, table in entry["tables"].items():
        rows = table.episodes
        cells = [f"{row.return_mean:.2f}" for row in rows] + [format_interval(table.gain)]
        cells += [", ".join(f"{last:.2f}" for last in entry["by_seed"][agent])]
        if has_wins:
            cells += [f"{row.win_rate:.1%}" for row in (rows[0], rows[-1])]
            cells += [format_interval(table.win_gain, ".1%")]
        spent = entry["spent"].get(agent)  # None if the agent was not trained
        cells += [f"{spent['env_steps'] / 1e6:.1f}", f"{spent['seconds']:.0f}"] if spent else ["", ""]
        yield f"| {agent} | " + " | ".join(cells) + " |"


def _leads(entry: dict[str, Any]) -> Iterator[str]:
    """Headroom of a split, and the leads of PEARL."""
    headroom = entry["headroom"]
    lead = "Lead of the oracle, which does not observe the style" if entry["split"] in UNOBSERVED else "Headroom"
    share = "" if headroom["share"] is None else f" PEARL has {headroom['share']:.0%} of it."
    yield f"{lead}: {format_comparison(headroom['lead'])}.{share}"
    over = [f"{format_interval(each.returns, '+.2f')} over {agent}" for agent, each in headroom["pearl_over"].items()]
    yield f"PEARL's lead in the last episode: {', '.join(over)}."
    equal = [f"{own:.2f} against {agent}'s {other:.2f}" for agent, (own, other) in entry["equal_seconds"].items()]
    yield f"PEARL's validation return at equal seconds: {', '.join(equal)}."


def by_kind(tables: dict[str, AdaptationTable]) -> list[str]:
    """Scores by kind of task as lines of Markdown; empty if all tasks are of one kind."""
    kinds = tables["pearl"].kinds
    if not kinds:
        return []

    def cells(agent: str, episode: int) -> str:
        rows = [tables[agent].kinds[kind][episode] for kind in kinds]
        return " | ".join(
            f"{row.return_mean:.2f}" + ("" if row.win_rate is None else f", {row.win_rate:.0%}") for row in rows
        )

    lines = ["", "| last episode by kind of task | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| pearl, after 0 | {cells('pearl', 0)} |"]
    return lines + [f"| {agent} | {cells(agent, -1)} |" for agent in tables]


def plot(measured: list[dict[str, Any]]) -> Figure:
    """Return by episodes of context, one panel per split, with 95 % intervals."""
    figure = Figure(figsize=(3.2 * len(measured), 3.4), layout="constrained")
    for axes, entry in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        for agent, table in entry["tables"].items():
            intervals = [row.returns for row in table.episodes]
            mean, low, high = np.array([(each.mean, each.low, each.high) for each in intervals]).T
            axes.errorbar(range(EPISODES), mean, [mean - low, high - mean], marker="o", capsize=2, label=agent)
        axes.set_title(f"{entry['family']}\n{entry['split']}", fontsize=10)
        axes.set_xlabel("episodes of context")
        axes.set_xticks(range(EPISODES))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("team return on test tasks")
    figure.axes[0].legend(fontsize=7)
    return figure
