"""Training runs of several task families and seeds, and the CSV files of their evaluations, for pages of results."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.curves import Curve, read_curve, write_curve
from benchmarks.pages.blocks import DATA
from benchmarks.runs import RUNS, Run, train_all

BASES = {"mujoco": "locomotion", "gym": "gymnasium", "metaworld": "metaworld"}
"""Config under the overlays of each group, which is the part of a family's name before the first underscore."""
Curves = Mapping[str, Mapping[int, Curve]]
"""Curves by family and seed."""


def run_name(family: str, seed: int, variant: str = "") -> str:
    """Name of a run's folder and of its CSV file, such as ``mujoco_ant_dir-seed0``."""
    return f"{family}-seed{seed}{variant}"


def configs_of(family: str, overlays: Sequence[str] = ()) -> list[str]:
    """Configs of a family, such as ``locomotion`` and ``mujoco/ant_dir``, with overlays between them."""
    group, _, name = family.partition("_")
    return [BASES[group], *overlays, f"{group}/{name}"]


def make_parser(description: str | None, families: Collection[str]) -> argparse.ArgumentParser:
    """Create the parser of a module that trains the runs of a page of results."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--families", nargs="+", choices=families, default=list(families), help="families to train")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds to train")
    parser.add_argument("--parallel", type=int, default=1, help="number of runs at a time")
    parser.add_argument(
        "--no-train", action="store_true", help="write the files of the runs that exist, and train nothing"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder for the CSV files")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
    return parser


def update_curves(
    options: Any, families: Sequence[str], settings: Sequence[str], variant: str = "", overlays: Sequence[str] = ()
) -> None:
    """Train the missing runs, unless ``--no-train`` is given, and write a CSV file for each run.

    Args:
        options: Options of ``make_parser``.
        families: Names of the families, with their group.
        settings: Further options of ``pearl fit``.
        variant: End of the runs' names.
        overlays: Configs between the environment and the family.
    """
    keys = list(product(families, options.seeds))
    names = {key: run_name(*key, variant) for key in keys}
    if not options.no_train:
        runs = {
            key: Run(names[key], configs_of(key[0], overlays), key[1], ["--threads", "1", *settings]) for key in keys
        }
        train_all(runs, options.runs_dir, options.parallel)
    for name in names.values():
        if (options.runs_dir / name).is_dir():
            try:
                write_curve(options.runs_dir / name, options.data / f"{name}.csv")
            except (FileNotFoundError, ValueError) as error:  # a run that has just started
                print(f"left out: {error}")


def read_curves(data: Path, families: Collection[str], variant: str = "") -> Curves:
    """Read the CSV files of all families and seeds in a folder; families without a file are left out."""
    found: dict[str, dict[int, Curve]] = {}
    for family in families:
        for path in data.glob(f"{family}-seed*{variant}.csv"):
            if match := re.fullmatch(rf"{family}-seed(\d+){variant}", path.stem):
                found.setdefault(family, {})[int(match[1])] = read_curve(path)
    return {family: dict(sorted(seeds.items())) for family, seeds in found.items()}
