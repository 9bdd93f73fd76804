"""Runs on Gymnasium and Meta-World tasks: ``python -m benchmarks.gymnasium_results --families gym_pendulum``.

It trains what is missing with ``pearl fit``, and writes a CSV file per run and the page ``gymnasium.md``.
``--no-train`` rebuilds the page from the runs and CSV files that exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.curve_runs import Curves, configs_of, make_parser, number, read_curves, run_name, table, update_curves
from benchmarks.curves import Curve
from pearl_lightning.evaluation import format_interval

FAMILIES = {
    "gym_pendulum": "Pendulum with a hidden gravity and a hidden direction of the motor",
    "gym_cartpole": "CartPole with a hidden direction of the force and a hidden length of the pole",
    "metaworld_ml1_reach": "Meta-World ML1 reach, with a hidden goal",
}
"""Descriptions of the families."""
ABOUT = """\
The table shows the last evaluation on validation tasks during training: the mean return of the first episode, with z
from the prior, and of the last one. The gain is paired by match, and its 95 % interval is over matches; it is unknown
with one match per task. Success is the share of episodes with a success, which Meta-World reports."""


def finding(curves: Curves) -> str:
    """Return the main result as one sentence."""
    runs = [curve for seeds in curves.values() for curve in seeds.values()]
    if not runs:
        return "No family has been run yet."
    adapted = sum(curve.gain.low > 0 for curve in runs)
    return (
        f"The return rises measurably from the first to the last episode of a new task in {adapted} of {len(runs)} "
        "runs: the 95 % interval of the gain is above 0."
    )


def rows_of(family: str, seeds: dict[int, Curve]) -> Iterator[list[str]]:
    """Rows of a family in the table, one per seed."""
    for seed, curve in seeds.items():
        last = curve.episodes - 1
        success = [curve.final(f"success_{episode}") for episode in (0, last)]
        cells = [number(curve.final("return_0"), ",.2f"), number(curve.last_returns[-1], ",.2f")]
        gain = number(curve.gain.mean, ",.2f") if math.isnan(curve.gain.low) else format_interval(curve.gain)
        cells += [gain, " to ".join(number(rate, ".0%") for rate in success)]
        spent = [number(curve.final(name), ",.0f") for name in ("env_steps", "seconds")]
        yield [family, str(seed), curve.protocol, str(curve.episodes), *cells, *spent]


def page(curves: Curves) -> list[str]:
    """Lines of the page."""
    head = ["family", "seed", "protocol", "episodes", "return, first", "return, last", "gain", "success, first to last"]
    rows = [row for family, seeds in curves.items() for row in rows_of(family, dict(seeds))]
    lines = ["# Gymnasium and Meta-World", "", finding(curves), ""]
    lines += [*table([*head, "environment steps", "seconds"], rows), ""] if rows else []
    lines += ABOUT.splitlines()
    if missing := [family for family in FAMILIES if family not in curves]:
        lines += ["", f"Not yet run: {', '.join(missing)}."]
    for family, seeds in curves.items():
        names = [run_name(family, seed) for seed in seeds]
        configs = " and ".join(f"`{config}`" for config in configs_of(family))
        lines += ["", f"- `{family}`: {FAMILIES[family]}; configs {configs};"]
        lines += [f"  {', '.join(f'[{name}.csv](data/{name}.csv)' for name in names)}."]
    return [*lines, *_reproduction(curves)]


def _reproduction(curves: Curves) -> Iterator[str]:
    """Lines on how to make the results again."""
    yield from ("", "## How to reproduce", "", "```sh")
    seeds = sorted({seed for each in curves.values() for seed in each}) or [0, 1, 2]
    options = f"--families {' '.join(curves or FAMILIES)} --seeds {' '.join(map(str, seeds))}"
    yield f"python -m benchmarks.gymnasium_results {options}"
    yield from ("python -m benchmarks.gymnasium_results --no-train   # only rebuild this page", "```", "")
    yield "Runs are resumed after an interruption. Each run has one thread."


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files and the page."""
    options, extra = make_parser(__doc__, FAMILIES).parse_known_args(arguments)
    update_curves(options, options.families, extra)
    write(options.output)


def write(output: Path) -> None:
    """Write the page from the CSV files in ``data`` in a folder."""
    curves = read_curves(output / "data", FAMILIES)
    (output / "gymnasium.md").write_text("\n".join(page(curves)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
