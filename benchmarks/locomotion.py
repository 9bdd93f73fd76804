"""Runs of the MuJoCo families beside published curves: ``python -m benchmarks.locomotion --families cheetah_vel``.

It trains what is missing with ``pearl fit``, evaluated in the protocol of the PEARL paper, and writes a CSV file per
run, a figure per family, and the page ``mujoco.md``. ``--no-train`` rebuilds the page from the runs and CSV files that
exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curve_runs import Curves, make_parser, number, read_curves, run_name, table, update_curves
from benchmarks.curves import Curve, mean_curve, value_at
from benchmarks.published import FAMILIES, FINAL_POINTS, Published, read_published

GROUP = "mujoco_"
VARIANTS = {"": "ours", "_reference": "ours, reference preset"}
"""Labels of the runs by the end of their names."""
STEPS = (200_000, 300_000, 500_000)
"""Environment steps of the columns of the table."""
ABOUT = f"""\
The table and the figures show the mean return of the last episode. Runs in the protocol `pearl` play two exploration
episodes with z from the prior, update the belief, and play a last episode with deterministic actions, as the
code of Rakelly et al. 2019 does. Runs of this library are evaluated on validation tasks, during training.

Compare shapes and orders, not digits. The bodies are those of Gymnasium in MuJoCo 3. The published runs use MuJoCo 1.3,
1.5 or 2.0, and returns change with the version. Published PEARL has one seed per family. Values between two evaluations
are interpolated linearly. The final level of published PEARL is the mean of its last {FINAL_POINTS} points. All numbers
are in [data](data/published/README.md).

The config `locomotion` trains z with task inference, from privileged information, if the family has task descriptors.
Published PEARL does not."""


def finding(curves: Curves, published: Mapping[str, Published]) -> str:
    """Return the main result as one sentence: the runs' last evaluations and published PEARL at the same steps."""
    compared: dict[str, bool] = {}
    for family in FAMILIES:
        runs = list(curves.get(GROUP + family, {}).values())
        level = published[family].at(max((float(run.env_steps[-1]) for run in runs), default=float("nan")))
        if not np.isnan(level):
            compared[family] = float(np.mean([run.last_returns[-1] for run in runs])) >= level
    if not compared:
        return "No family with a published curve has been run yet."
    reached = [FAMILIES[family].title for family, is_reached in compared.items() if is_reached]
    names = f" ({', '.join(reached)})" if reached else ""
    return (
        "At the environment steps of the runs' last evaluation, their mean return is at least that of published PEARL "
        f"in {len(reached)} of {len(compared)} families that have been run{names}."
    )


def rows_of(family: str, by_variant: Mapping[str, Curves], published: Published) -> Iterator[list[str]]:
    """Rows of a family in the table: one per run, and one for published PEARL."""
    for variant, curves in by_variant.items():
        for seed, curve in curves.get(GROUP + family, {}).items():
            values = [value_at(curve.env_steps, curve.last_returns, step) for step in STEPS]
            values.append(curve.last_returns[-1])
            spent = [number(curve.final(name), ",.0f") for name in ("env_steps", "updates", "seconds")]
            name = f"{VARIANTS[variant]}, seed {seed}"
            yield [family, name, curve.protocol, *map(number, values), *spent]
    if published.final is not None:
        values = [*map(published.at, STEPS), published.final]
        spent = [number(published.env_steps[-1], ",.0f"), "–", "–"]
        yield [family, "published PEARL", "see below", *map(number, values), *spent]
    if published.varibad is not None:
        level = number(published.varibad)
        yield [family, "published VariBAD", "see below", *["–"] * len(STEPS), level, "about 10^8", "–", "–"]


def plot(title: str, by_variant: Mapping[str, Mapping[int, Curve]], published: Published) -> Figure:
    """Plot the return of a family's runs over the environment steps, and the published results.

    Args:
        title: Title of the figure.
        by_variant: Curves by end of the runs' names and by seed.
        published: Published results of the family.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    if published.final is not None:
        axes.plot(published.env_steps, published.returns, color="grey", label="PEARL, published (one seed)")
        axes.axhline(published.final, color="grey", linestyle=":", label="its final level")
    if published.varibad is not None:
        axes.axhline(published.varibad, color="black", linestyle="--", label="VariBAD, published final level")
    for variant, curves in by_variant.items():
        _plot_runs(axes, list(VARIANTS).index(variant), VARIANTS[variant], curves)
    axes.set_title(title)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return of the last episode")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _plot_runs(axes: Axes, colour: int, label: str, curves: Mapping[int, Curve]) -> None:
    for curve in curves.values():
        axes.plot(curve.env_steps, curve.last_returns, color=f"C{colour}", alpha=0.4, linewidth=1)
    if curves:
        steps, mean = mean_curve(list(curves.values()))
        axes.plot(steps, mean, color=f"C{colour}", linewidth=2, label=f"{label}, {_seeds(list(curves))}")


def _seeds(seeds: Sequence[int]) -> str:
    return f"mean of seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"


def page(by_variant: Mapping[str, Curves], published: Mapping[str, Published]) -> list[str]:
    """Lines of the page."""
    run = [family for family in FAMILIES if any(GROUP + family in curves for curves in by_variant.values())]
    head = ["family", "run", "protocol", *(f"{step // 1000}k steps" for step in STEPS)]
    head += ["end", "steps at the end", "updates", "seconds"]
    rows = [row for family in run for row in rows_of(family, by_variant, published[family])]
    lines = ["# MuJoCo task families", "", finding(by_variant[""], published), ""]
    lines += [*table(head, rows), ""] if rows else []
    lines += ABOUT.splitlines()
    if missing := [family for family in FAMILIES if family not in run]:
        lines += ["", f"Not yet run: {', '.join(missing)}."]
    for family in run:
        lines += ["", f"## {FAMILIES[family].title}", "", f"![returns](mujoco_{family}.png)", ""]
        lines += [f"- {difference}" for difference in FAMILIES[family].differences]
    return [*lines, *_reproduction(by_variant)]


def _reproduction(by_variant: Mapping[str, Curves]) -> Iterator[str]:
    """Lines on how to make the results again."""
    yield from ("", "## How to reproduce", "", "```sh")
    for variant, curves in by_variant.items():
        seeds = sorted({seed for each in curves.values() for seed in each})
        if not seeds and not variant:
            yield "python -m benchmarks.locomotion --seeds 0 1 2"
        if seeds:
            names = " ".join(family.removeprefix(GROUP) for family in curves)
            option = " --reference" if variant else ""
            yield f"python -m benchmarks.locomotion{option} --families {names} --seeds {' '.join(map(str, seeds))}"
    yield from ("python -m benchmarks.locomotion --no-train   # only rebuild this page", "```", "")
    yield "Runs are resumed after an interruption. Each run has one thread."
    if any(by_variant.values()):
        yield from ("", "The numbers of all runs:", "")
    for variant, curves in by_variant.items():
        for family, runs in curves.items():
            files = [f"{run_name(family, seed, variant)}.csv" for seed in runs]
            yield f"- {', '.join(f'[{file}](data/{file})' for file in files)}"


def write(output: Path) -> None:
    """Write the page and the figures from the CSV files in a folder.

    Args:
        output: Folder of the page, with the CSV files in ``data``.
    """
    names = [GROUP + family for family in FAMILIES]
    by_variant = {variant: read_curves(output / "data", names, variant) for variant in VARIANTS}
    published = {family: read_published(output / "data" / "published", family) for family in FAMILIES}
    for family, facts in FAMILIES.items():
        runs = {variant: curves.get(GROUP + family, {}) for variant, curves in by_variant.items()}
        if any(runs.values()):
            figure = plot(facts.title, runs, published[family])
            figure.savefig(output / f"{GROUP}{family}.png", dpi=100)
    (output / "mujoco.md").write_text("\n".join(page(by_variant, published)) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files, figures and page."""
    parser = make_parser(__doc__, FAMILIES)
    parser.add_argument("--reference", action="store_true", help="train the reference preset, the original PEARL")
    options, extra = parser.parse_known_args(arguments)
    variant, overlays = ("_reference", ["reference_locomotion"]) if options.reference else ("", [])
    families = [GROUP + family for family in options.families]
    update_curves(options, families, ["--evaluation.protocol", "pearl", *extra], variant, overlays)
    write(options.output)


if __name__ == "__main__":
    main()
