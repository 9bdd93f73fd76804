"""Figures of adaptation and of training; drawn without a display and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from pearl_lightning.envs.derk.league import CrossTable
    from pearl_lightning.evaluation import AdaptationResult


def plot_adaptation(table: Mapping[str, Any]) -> Figure:
    """Return by number of episodes seen, with its interval; beside it the win rate, where the world has winners.

    Args:
        table: What ``AdaptationResult.table`` gives.
    """
    rows = table["episodes"]
    panels = [("return", "return_mean", "return_low", "return_high")]
    if "win_rate" in rows[0]:
        panels.append(("win rate", "win_rate", "win_low", "win_high"))
    figure = Figure(figsize=(4.5 * len(panels), 3.5), layout="constrained")
    episodes = [row["episode"] for row in rows]
    for axes, (label, mean, low, high) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot(episodes, [row[mean] for row in rows], marker="o", label="mean")
        axes.vlines(episodes, [row[low] for row in rows], [row[high] for row in rows], label="95 % interval")
        axes.set_xlabel("episodes seen before")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _finish(axes, label)
    if len(panels) > 1:
        figure.axes[1].set_ylim(-0.02, 1.02)
    figure.suptitle(f"{table['tasks']} tasks x {table['matches_per_task']} matches")
    return figure


def plot_curve(
    steps: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str = "environment steps",
    y_label: str = "return",
) -> Figure:
    """Training curves: one line per series over the same steps.

    Args:
        steps: Where each series was measured.
        series: Values by name, each as many as there are steps.
        x_label: Caption of the steps.
        y_label: Caption of the values.
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, values in series.items():
        if len(values) != len(steps):
            raise ValueError(f"series {name!r} must have one value per step ({len(steps)}), got {len(values)}")
        axes.plot(steps, values, marker=".", label=name)
    axes.set_xlabel(x_label)
    _finish(axes, y_label)
    return figure


def plot_belief(result: AdaptationResult) -> Figure:
    """What is believed: a map of the last posteriors by task, and the way there.

    The map shows the two directions in which the posterior means differ most (principal components). Beside it, over
    the transitions read: the posterior's entropy, and how far its mean still is from where it ends.

    Args:
        result: Of an agent with a latent; tasks of a kind share a colour.
    """
    if result.trace is None:
        raise ValueError("an agent without a latent believes nothing")
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    on_map, entropy, distance = figure.subplots(1, 3)
    means = result.z_mean[:, :, -1]  # [task, match, latent]
    flat = means.reshape(-1, means.shape[-1])
    _, _, directions = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    axis = directions[:2]
    kinds = result.kinds or ("",) * len(result.tasks)
    for number, label in enumerate(sorted(set(kinds))):
        chosen = means[[task for task, name in enumerate(kinds) if name == label]].reshape(-1, means.shape[-1])
        places = (chosen - flat.mean(axis=0)) @ axis.T
        colour = f"C{number % 10}"
        y = places[:, 1] if len(axis) > 1 else np.zeros(len(places))
        on_map.scatter(places[:, 0], y, s=10, color=colour, marker="ox^sDv"[number // 10 % 6], label=label or None)
    on_map.set_xlabel("first principal component of the posterior mean")
    _finish(on_map, "second")
    if any(kinds):
        on_map.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)  # off the dots
    for axes, values, caption in (
        (entropy, result.trace.entropy(), "entropy of the posterior (nats)"),
        (distance, result.trace.distance(), "share of the way still to go"),
    ):
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
        axes.plot(result.trace.transitions, middle, label="median")
        axes.fill_between(result.trace.transitions, low, high, alpha=0.2, label="80 % of the matches")
        axes.set_xlabel("transitions read")
        _finish(axes, caption)
    return figure


def plot_cross_table(table: CrossTable) -> Figure:
    """Points per match of each player (row) at home against each other (column), strongest first."""
    elo = table.elo()
    order = np.argsort(-elo)
    size = 2.0 + 0.5 * len(order)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table.scores[np.ix_(order, order)], vmin=0, vmax=1, cmap="RdYlGn")
    for row, player in enumerate(order):
        for column, other in enumerate(order):
            if player != other:
                axes.text(column, row, f"{table.scores[player, other]:.2f}", ha="center", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [f"{table.names[player]}  {elo[player]:.0f}" for player in order])
    axes.set_xticks(range(len(order)), [table.names[player] for player in order], rotation=45, ha="right")
    axes.set_title("points per match at home; Elo", fontsize=10)
    return figure


def _finish(axes: Axes, y_label: str) -> None:
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
