"""Figures of adaptation and of training; drawn without a display and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pearl_lightning.evaluation.result import AdaptationResult, AdaptationTable


def plot_adaptation(table: AdaptationTable) -> Figure:
    """Plot the return, and the win or success rate if there is one, by number of episodes seen before."""
    panels = [("return", [row.returns for row in table.episodes])]
    panels += [(rate, [row.rates[rate] for row in table.episodes]) for rate in table.episodes[0].rates]
    figure = Figure(figsize=(4.5 * len(panels), 3.5), layout="constrained")
    episodes = [row.episode for row in table.episodes]
    for axes, (label, values) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot(episodes, [each.mean for each in values], marker="o", label="mean")
        axes.vlines(episodes, [each.low for each in values], [each.high for each in values], label="95 % interval")
        axes.set_xlabel("episodes seen before")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _finish(axes, label)
    for axes in figure.axes[1:]:
        axes.set_ylim(-0.02, 1.02)
    figure.suptitle(f"{table.tasks} tasks x {table.matches_per_task} matches{protocol_suffix(table.protocol)}")
    return figure


def plot_curve(
    steps: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str = "environment steps",
    y_label: str = "return",
) -> Figure:
    """Plot training curves: one line per series over the same steps.

    Args:
        steps: Steps at which all series were measured.
        series: Values of each series by name, one per step.
        x_label: Label of the steps.
        y_label: Label of the values.

    Raises:
        ValueError: A series has more or fewer values than steps.
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
    """Plot the last posteriors of all matches, and the change of the posteriors with the transitions.

    The first panel shows the means of the last posteriors along their first two principal components; tasks of the same
    kind have the same colour. The other two panels show, by number of transitions read, the entropy of the posterior
    and the distance of its mean from the last mean.

    Args:
        result: Result of an agent with a latent.

    Raises:
        ValueError: The agent has no latent.
    """
    if result.trace is None:
        raise ValueError("result must be of an agent with a latent")
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
        on_map.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)  # beside the dots
    for axes, values, caption in (
        (entropy, result.trace.entropy(), "entropy of the posterior (nats)"),
        (distance, result.trace.distance(), "relative distance from the last mean"),
    ):
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
        axes.plot(result.trace.transitions, middle, label="median")
        axes.fill_between(result.trace.transitions, low, high, alpha=0.2, label="80 % of the matches")
        axes.set_xlabel("transitions read")
        _finish(axes, caption)
    if suffix := protocol_suffix(result.protocol):
        figure.suptitle(suffix.removeprefix(", "))
    return figure


def protocol_suffix(protocol: str) -> str:
    """Text that names a protocol at the end of a title; empty for the default protocol."""
    return "" if protocol == "adaptive" else f", protocol {protocol}"


def _finish(axes: Axes, y_label: str) -> None:
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
