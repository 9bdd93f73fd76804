"""Runs of the point robot over several seeds: ``python -m benchmarks.point_robot``.

It trains what is missing with ``pearl fit`` on the ready-made configs, one process per run, and writes a CSV file per
run. ``python -m benchmarks.pages`` puts them on the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from benchmarks.curve_runs import run_name
from benchmarks.curves import write_curve
from benchmarks.pages.blocks import DATA
from benchmarks.runs import RUNS, Run, train_all

CONFIGS = {"dense": "point_robot", "sparse": "sparse_point_robot"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder for the CSV files")
    parser.add_argument("--variants", nargs="+", choices=sorted(CONFIGS), default=sorted(CONFIGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
    options, extra = parser.parse_known_args(arguments)
    wanted = {
        (variant, seed): Run(run_name(f"point_robot_{variant}", seed), [CONFIGS[variant]], seed, extra)
        for variant, seed in product(options.variants, options.seeds)
    }
    train_all(wanted, options.runs_dir, options.parallel)
    for run in wanted.values():
        write_curve(options.runs_dir / run.name, options.data / f"{run.name}.csv")


if __name__ == "__main__":
    main()
