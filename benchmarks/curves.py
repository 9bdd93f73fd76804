"""Evaluations of a training run as a CSV file: ``python -m benchmarks.curves RUN CSV``.

The file has one row per evaluation on the validation tasks. Its columns are the environment steps, updates and seconds
of training before it, the mean return of each episode (``return_0``, ``return_1``, ...), the gain with its 95 %
interval, and the protocol. If the environment reports successes, ``success_0``, ``success_1``, ... are the shares of
episodes with a success. The seconds are those of the whole run times the share of its updates, because a run stores no
time per evaluation.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pearl_lightning.evaluation import Evaluation, Interval
from pearl_lightning.report.records import RunRecord, read_run

TEXT = ("protocol",)
"""Columns that are not numbers."""


@dataclass(frozen=True)
class Curve:
    """The evaluations of one run.

    Args:
        columns: Numbers by name, one per evaluation.
        protocol: Protocol of the evaluations.
    """

    columns: Mapping[str, np.ndarray]
    protocol: str

    @property
    def env_steps(self) -> np.ndarray:
        """Environment steps before each evaluation."""
        return self.columns["env_steps"]

    @property
    def episodes(self) -> int:
        """Number of episodes per task."""
        return sum(name.startswith("return_") for name in self.columns)

    @property
    def last_returns(self) -> np.ndarray:
        """Mean return of the last episode in each evaluation."""
        return self.columns[f"return_{self.episodes - 1}"]

    def final(self, name: str) -> float:
        """A number of the last evaluation; NaN if there is no such column."""
        return float(self.columns[name][-1]) if name in self.columns else math.nan

    @property
    def gain(self) -> Interval:
        """Gain in the last evaluation, with its 95 % interval."""
        return Interval(self.final("gain"), self.final("gain_low"), self.final("gain_high"))


def value_at(steps: np.ndarray, values: np.ndarray, step: float) -> float:
    """Value of a curve at a step, interpolated linearly; NaN before its first and after its last point."""
    return float(np.interp(step, steps, values, left=math.nan, right=math.nan))


def mean_curve(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Mean return of the last episode over several runs, at all steps that each run has reached."""
    steps = np.unique(np.concatenate([curve.env_steps for curve in curves]))
    steps = steps[steps <= min(curve.env_steps[-1] for curve in curves)]
    return steps, np.mean([np.interp(steps, curve.env_steps, curve.last_returns) for curve in curves], axis=0)


def rows_of_run(run: RunRecord) -> list[dict[str, float | str]]:
    """One row per evaluation of a run with the last one's protocol and number of episodes.

    Raises:
        ValueError: The run has no evaluation yet.
    """
    if not run.history:
        raise ValueError(f"{run.folder} must have an evaluation, but has none yet")
    last = run.history[-1].table
    seconds_per_update = run.summary.get("seconds", math.nan) / max(run.summary.get("updates", 0), 1)
    chosen = [each for each in run.history if _shape(each) == (last.protocol, len(last.episodes))]
    return [_row(each, seconds_per_update) for each in chosen]


def _shape(evaluation: Evaluation) -> tuple[str, int]:
    return evaluation.table.protocol, len(evaluation.table.episodes)


def _row(evaluation: Evaluation, seconds_per_update: float) -> dict[str, float | str]:
    table = evaluation.table
    row: dict[str, float | str] = {"env_steps": evaluation.env_steps, "updates": evaluation.update}
    row["seconds"] = round(evaluation.update * seconds_per_update, 1)
    row |= {f"return_{each.episode}": round(each.return_mean, 4) for each in table.episodes}
    rates = {each.episode: each.success_rate for each in table.episodes if each.success_rate is not None}
    row |= {f"success_{episode}": round(rate, 4) for episode, rate in rates.items()}
    gain = {"gain": table.gain.mean, "gain_low": table.gain.low, "gain_high": table.gain.high}
    return row | {name: round(value, 4) for name, value in gain.items()} | {"protocol": table.protocol}


def write_curve(run: Path, path: Path) -> None:
    """Write the evaluations in a run's folder as CSV, creating the folder of the file."""
    rows = rows_of_run(read_run(run))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_curve(path: Path) -> Curve:
    """Read a file of ``write_curve``.

    Raises:
        ValueError: The file has no row or lacks a column.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"env_steps", "updates", "seconds", "return_0"} <= rows[0].keys():
        raise ValueError(f"{path} must be a file of benchmarks.curves with at least one row")
    names = [name for name in rows[0] if name not in TEXT]
    columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    return Curve(columns, rows[-1].get("protocol", "adaptive"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the evaluations of a run as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run, such as runs/results/mujoco_cheetah_vel-seed0")
    parser.add_argument("csv", type=Path, help="file to write, such as docs/results/data/mujoco_cheetah_vel-seed0.csv")
    options = parser.parse_args(arguments)
    write_curve(options.run, options.csv)


if __name__ == "__main__":
    main()
