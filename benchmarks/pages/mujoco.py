"""Generated parts of the page of the MuJoCo families: runs of this library beside published curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curve_runs import Curves, read_curves, run_name
from benchmarks.curves import Curve, mean_curve, value_at
from benchmarks.pages.tables import UNKNOWN, number, table
from benchmarks.published import FAMILIES, Published, read_published

GROUP = "mujoco_"
VARIANTS = {"": "ours", "_reference": "ours, reference preset"}
"""Labels of the runs by the end of their names."""
STEPS = (200_000, 300_000, 500_000)
"""Environment steps of the columns of the table."""


def _curves(data: Path) -> dict[str, Curves]:
    """Curves by end of the runs' names, then by name of the family in ``FAMILIES``, then by seed."""
    names = [GROUP + family for family in FAMILIES]
    found = {variant: read_curves(data, names, variant) for variant in VARIANTS}
    return {
        variant: {name.removeprefix(GROUP): seeds for name, seeds in each.items()} for variant, each in found.items()
    }


def _run(by_variant: Mapping[str, Curves]) -> list[str]:
    """Families with a run."""
    return [family for family in FAMILIES if any(family in curves for curves in by_variant.values())]


def _published(data: Path, family: str) -> Published:
    return read_published(data / "published", family)


def finding(data: Path) -> list[str]:
    """Main result as one sentence: the runs' last evaluations, and published PEARL at the same steps."""
    compared: dict[str, bool] = {}
    for family, seeds in _curves(data)[""].items():
        runs = list(seeds.values())
        level = _published(data, family).at(max(float(run.env_steps[-1]) for run in runs))
        if not np.isnan(level):
            compared[family] = float(np.mean([run.last_returns[-1] for run in runs])) >= level
    if not compared:
        return ["No family with a published curve has been run yet."]
    reached = [FAMILIES[family].title for family, is_reached in compared.items() if is_reached]
    share = "all compared families" if len(reached) == len(compared) else f"{len(reached)} of {len(compared)} families"
    names = f" ({', '.join(reached)})" if reached else ""
    return [
        f"In {share}{names}, this library's mean return is at least that of published PEARL after the same number of "
        "environment steps."
    ]


def returns(data: Path) -> list[str]:
    """Table with one row per run, and one for each published result."""
    by_variant = _curves(data)
    rows = [row for family in _run(by_variant) for row in _rows(family, by_variant, _published(data, family))]
    head = ["family", "run", *(f"{step // 1000}k steps" for step in STEPS), "end", "steps at the end", "updates"]
    return table([*head, "seconds"], rows)


def _rows(family: str, by_variant: Mapping[str, Curves], published: Published) -> Iterator[list[str]]:
    for variant, curves in by_variant.items():
        for seed, curve in curves.get(family, {}).items():
            values = [value_at(curve.env_steps, curve.last_returns, step) for step in STEPS]
            values.append(curve.last_returns[-1])
            spent = [number(curve.final(name), ",.0f") for name in ("env_steps", "updates", "seconds")]
            yield [family, f"{VARIANTS[variant]}, seed {seed}", *map(number, values), *spent]
    if published.final is not None:
        values = [*map(published.at, STEPS), published.final]
        steps = number(published.env_steps[-1], ",.0f")
        yield [family, "published PEARL", *map(number, values), steps, UNKNOWN, UNKNOWN]
    if published.varibad is not None:
        level = number(published.varibad)
        yield [family, "published VariBAD", *[UNKNOWN] * len(STEPS), level, "about 10^8", UNKNOWN, UNKNOWN]


def missing(data: Path) -> list[str]:
    """Families that have no run."""
    run = _run(_curves(data))
    names = ", ".join(f"`{family}`" for family in FAMILIES if family not in run)
    return [f"Not yet run: {names}."] if names else []


def differences(data: Path) -> list[str]:
    """List of the differences between the runs and the published results, by family."""
    lines = []
    for family in _run(_curves(data)):
        lines += [f"**{FAMILIES[family].title}** (`{family}`)", ""]
        lines += [*(f"- {difference}" for difference in FAMILIES[family].differences), ""]
    return lines[:-1]


def commands(data: Path) -> list[str]:
    """Commands that train all runs again."""
    lines = []
    for variant, curves in _curves(data).items():
        for family, seeds in curves.items():
            option = " --reference" if variant else ""
            numbers = " ".join(map(str, seeds))
            lines.append(f"python -m benchmarks.locomotion{option} --families {family} --seeds {numbers}")
    return ["```sh", *lines, "python -m benchmarks.pages", "```"]


def files(data: Path) -> list[str]:
    """List of links to the files of all runs."""
    return [
        "- " + ", ".join(f"[{name}](data/{name})" for name in (f"{run_name(GROUP + family, s, v)}.csv" for s in seeds))
        for v, curves in _curves(data).items()
        for family, seeds in curves.items()
    ]


def plot(data: Path) -> Figure:
    """Plot the return of the last episode over the environment steps, with one panel per family."""
    by_variant = _curves(data)
    families = _run(by_variant)
    rows = -(-len(families) // 2)
    figure = Figure(figsize=(9.6, 3.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, 2, squeeze=False).flat)
    for axes, family in zip(panels, families, strict=False):
        _plot_published(axes, _published(data, family))
        for variant, curves in by_variant.items():
            _plot_runs(axes, list(VARIANTS).index(variant), VARIANTS[variant], curves.get(family, {}))
        axes.set_title(FAMILIES[family].title, fontsize=10)
        axes.set_xlabel("thousand environment steps")
        axes.set_ylabel("return of the last episode")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    for axes in panels[len(families) :]:
        axes.remove()
    return figure


def _plot_published(axes: Axes, published: Published) -> None:
    if published.final is not None:
        axes.plot(published.env_steps / 1000, published.returns, color="grey", label="PEARL, published (one seed)")
        axes.axhline(published.final, color="grey", linestyle=":", label="its final level")
    if published.varibad is not None:
        axes.axhline(published.varibad, color="black", linestyle="--", label="VariBAD, published final level")


def _plot_runs(axes: Axes, colour: int, label: str, curves: Mapping[int, Curve]) -> None:
    for curve in curves.values():
        axes.plot(curve.env_steps / 1000, curve.last_returns, color=f"C{colour}", alpha=0.4, linewidth=1)
    if curves:
        steps, mean = mean_curve(list(curves.values()))
        axes.plot(steps / 1000, mean, color=f"C{colour}", linewidth=2, label=f"{label}, {_seeds(list(curves))}")


def _seeds(seeds: Sequence[int]) -> str:
    return f"mean of seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
