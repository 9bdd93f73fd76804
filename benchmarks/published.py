"""Published results of the MuJoCo task families, which are drawn beside the runs of this library."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.curves import value_at

FINAL_POINTS = 5
"""Number of the last points of a published curve whose mean is its final level."""
_X35F = (
    "Published PEARL (x35f) plays five episodes after two exploration episodes that share one sample of z, and its "
    "number is the mean of the five. Its code has no value network, learns the temperature, and does {updates} updates "
    "per environment step."
)
_VARIBAD = (
    "VariBAD's level is the mean of ten seeds in their third episode, after about 10^8 steps, in MuJoCo {mujoco}."
)
_SAME_TASKS = "The evaluated tasks are the train tasks."


@dataclass(frozen=True)
class Family:
    """A task family of the PEARL paper.

    Args:
        title: Name in the paper.
        world: Name in the published files; empty if there are none.
        differences: Text on the differences between the published results and the runs of this library.
    """

    title: str
    world: str
    differences: tuple[str, ...]


FAMILIES = {
    "cheetah_dir": Family(
        "Half-Cheetah-Fwd-Back",
        "cheetah-dir",
        (_SAME_TASKS, _X35F.format(updates="0.25"), _VARIBAD.format(mujoco="1.5")),
    ),
    "cheetah_vel": Family(
        "Half-Cheetah-Vel", "cheetah-vel", (_X35F.format(updates="0.4"), _VARIBAD.format(mujoco="1.5"))
    ),
    "ant_dir": Family(
        "Ant-Fwd-Back",
        "ant-dir",
        (
            _SAME_TASKS,
            "The published runs have two other directions: PEARL two random ones, VariBAD +1 and -1 radian.",
            _X35F.format(updates="0.1"),
            _VARIBAD.format(mujoco="1.5"),
        ),
    ),
    "ant_goal": Family("Ant-Goal-2D", "ant-goal", (_VARIBAD.format(mujoco="1.5"), "No curve of PEARL is available.")),
    "humanoid_dir": Family(
        "Humanoid-Direc-2D",
        "humanoid-dir",
        (
            "Standing still returns 1,000, so a return near 1,000 shows no adaptation.",
            "Published PEARL (CRL) plays two exploration episodes, and its number is the last episode's return, with "
            "0.75 updates per environment step.",
            _VARIBAD.format(mujoco="of a version that the source does not name"),
        ),
    ),
    "walker_params": Family(
        "Walker-2D-Params",
        "walker-rand-params",
        (
            "Published PEARL is evaluated on 2 tasks.",
            _X35F.format(updates="0.4"),
            _VARIBAD.format(mujoco="1.3"),
        ),
    ),
    "hopper_params": Family("Hopper-Params", "", ("The paper does not have this family: nothing is published.",)),
}
"""Families by the names of their configs in ``configs/mujoco``."""


@dataclass(frozen=True)
class Published:
    """Published results of a family.

    Args:
        env_steps: Environment steps of the points of PEARL's curve; empty if there is none.
        returns: Return of PEARL at each point.
        varibad: Final level of VariBAD; None if there is none.
    """

    env_steps: np.ndarray
    returns: np.ndarray
    varibad: float | None

    @property
    def final(self) -> float | None:
        """Final level of PEARL: the mean of the last points; None if there is no curve."""
        return float(self.returns[-FINAL_POINTS:].mean()) if len(self.returns) else None

    def at(self, step: float) -> float:
        """Return of PEARL at a number of environment steps; NaN if it is outside of the curve."""
        return value_at(self.env_steps, self.returns, step) if len(self.returns) else float("nan")


def read_published(folder: Path, family: str) -> Published:
    """Read the published results of a family.

    Args:
        folder: Folder with ``pearl_curves.csv`` and ``varibad_final.csv``.
        family: Name of the family in ``FAMILIES``.
    """
    world = FAMILIES[family].world
    points = [(float(row["env_steps"]), float(row["value"])) for row in _rows(folder / "pearl_curves.csv", world)]
    levels = [float(row["return"]) for row in _rows(folder / "varibad_final.csv", world)]
    steps, returns = np.array(sorted(points)).reshape(-1, 2).T
    return Published(steps, returns, float(np.mean(levels)) if levels else None)


def _rows(path: Path, world: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["world"] == world]
