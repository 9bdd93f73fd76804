"""Environments for workers of Ray that break in ways of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot

HANGS_FOR = 600.0  # seconds: no test waits for so long


class BreakingRobot(PointRobot):
    """A point robot that, where a file says so, breaks at the next step; whichever worker finds the file takes it.

    Args:
        orders: A file that holds ``die``, ``lose``, ``hang`` or ``err`` once something is to break.
    """

    def __init__(self, *, orders: str, arenas: int = 2) -> None:
        super().__init__(arenas=arenas, tasks=GoalTasks(train_tasks=6, test_tasks=2))
        self.orders = Path(orders)
        self.losses = 0

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        try:
            order = self.orders.read_text()
            self.orders.unlink()
        except FileNotFoundError:
            order = ""
        if order == "die":
            os._exit(1)
        if order == "hang":
            time.sleep(HANGS_FOR)
        if order == "err":
            raise ZeroDivisionError("the robot divided by zero")
        if order == "lose":
            self.losses += 1
            raise EpisodeLost("the robot fell over")
        return super().advance(action)

    def episode_statistics(self) -> dict[str, Tensor]:
        return {"distance": self._goal.norm(dim=-1).squeeze(1)}

    def report(self) -> dict[str, Any]:
        return {"restarts": self.losses, "robot": "round", "process": str(os.getpid())}
