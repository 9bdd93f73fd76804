"""Runs of the dense point robot with different ratios of updates to environment steps.

``python -m benchmarks.update_ratio`` trains what is missing with ``pearl fit`` on the config ``few_steps``, whose ratio
is 1/4, and writes a CSV file per run. ``python -m benchmarks.pages`` puts them on the page.
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

EVERY = {"1/80": 100, "1/16": 500, "1/4": 2000, "1": 8000}
"""Updates between two collections, of 8,000 environment steps each, by ratio."""
COLLECTIONS = 12


def file_family(ratio: str) -> str:
    """Start of the names of a ratio's runs and files."""
    return f"update_ratio_{EVERY[ratio]}"


def make_run(ratio: str, seed: int, extra: Sequence[str] = ()) -> Run:
    """Return the run of a ratio: as many collections as with every other one, and an evaluation before each."""
    every = EVERY[ratio]
    settings = ["--collector.every_n_updates", str(every), "--trainer.val_check_interval", str(every)]
    settings += ["--trainer.max_steps", str(COLLECTIONS * every), "--threads", "1", *extra]
    return Run(run_name(file_family(ratio), seed), ["point_robot", "few_steps"], seed, settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder for the CSV files")
    parser.add_argument("--ratios", nargs="+", choices=EVERY, default=list(EVERY), help="updates per environment step")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
    options, extra = parser.parse_known_args(arguments)
    wanted = {key: make_run(*key, extra) for key in product(options.ratios, options.seeds)}
    train_all(wanted, options.runs_dir, options.parallel)
    for run in wanted.values():
        write_curve(options.runs_dir / run.name, options.data / f"{run.name}.csv")


if __name__ == "__main__":
    main()
