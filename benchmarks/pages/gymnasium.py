"""Generated parts of the page of the Gymnasium and Meta-World families."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.curve_runs import Curves, configs_of, read_curves, run_name
from benchmarks.curves import Curve
from benchmarks.pages.tables import number, table
from pearl_lightning.evaluation import format_interval

FAMILIES = {
    "gym_pendulum": "Pendulum with a hidden gravity and a hidden direction of the motor",
    "gym_cartpole": "CartPole with a hidden direction of the force and a hidden length of the pole",
    "metaworld_ml1_reach": "Meta-World ML1 reach, with a hidden goal",
}
"""Descriptions of the families."""


def _curves(data: Path) -> Curves:
    return read_curves(data, FAMILIES)


def finding(data: Path) -> list[str]:
    """Main result as one sentence."""
    curves = _curves(data)
    if not curves:
        return ["No family has been run yet."]
    adapted = {family: all(curve.gain.low > 0 for curve in seeds.values()) for family, seeds in curves.items()}
    names, others = (
        " and ".join(f"`{name}`" for name in adapted if adapted[name] is expected) for expected in (True, False)
    )
    rises = "the return rises measurably from the first to the last episode of a held-out task"
    if not names:
        return [f"In no family, {rises} in every run."]
    return [f"In every run of {names}, {rises}{f', but not in every run of {others}' if others else ''}."]


def returns(data: Path) -> list[str]:
    """Table of the last evaluation of every run."""
    head = ["family", "seed", "return, first episode", "return, last episode", "gain", "success, first to last"]
    rows = [row for family, seeds in _curves(data).items() for row in _rows(family, seeds)]
    return table([*head, "environment steps", "seconds"], rows)


def _rows(family: str, seeds: Mapping[int, Curve]) -> Iterator[list[str]]:
    for seed, curve in seeds.items():
        success = [curve.final(f"success_{episode}") for episode in (0, curve.episodes - 1)]
        cells = [number(curve.final("return_0"), ",.2f"), number(curve.last_returns[-1], ",.2f")]
        gain = number(curve.gain.mean, ",.2f") if math.isnan(curve.gain.low) else format_interval(curve.gain)
        rates = " to ".join(f"{rate:.0%}".replace("%", " %") for rate in success if not math.isnan(rate))
        spent = [number(curve.final(name), ",.0f") for name in ("env_steps", "seconds")]
        yield [family, str(seed), *cells, gain, rates or number(math.nan), *spent]


def missing(data: Path) -> list[str]:
    """Families that have no run."""
    names = ", ".join(f"`{family}`" for family in FAMILIES if family not in _curves(data))
    return [f"Not yet run: {names}."] if names else []


def families(data: Path) -> list[str]:
    """List of the families that have been run, with their configs and files."""
    lines = []
    for family, seeds in _curves(data).items():
        configs = " and ".join(f"`{config}`" for config in configs_of(family))
        names = [f"{run_name(family, seed)}.csv" for seed in seeds]
        lines.append(f"- `{family}`: {FAMILIES[family]}; configs {configs};")
        lines.append(f"  {', '.join(f'[{name}](data/{name})' for name in names)}.")
    return lines


def commands(data: Path) -> list[str]:
    """Commands that train all runs again."""
    lines = [
        f"python -m benchmarks.gymnasium_results --families {family} --seeds {' '.join(map(str, seeds))}"
        for family, seeds in _curves(data).items()
    ]
    return ["```sh", *lines, "python -m benchmarks.pages", "```"]


def plot(data: Path) -> Figure:
    """Plot the returns of the first and of the last episode during training, with one panel per family."""
    curves = _curves(data)
    figure = Figure(figsize=(3.2 * len(curves), 3.4), layout="constrained")
    for axes, (family, seeds) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for number_of_run, curve in enumerate(seeds.values()):
            sides = (("first episode", "return_0", "#6e7781"), ("last episode", f"return_{curve.episodes - 1}", "C0"))
            for label, column, colour in sides:
                values = curve.columns[column]
                axes.plot(curve.env_steps / 1000, values, color=colour, label="" if number_of_run else label)
        axes.set_title(family, fontsize=9)
        axes.set_xlabel("thousand environment steps", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("return on validation tasks")
    figure.axes[0].legend(fontsize=8)
    return figure
