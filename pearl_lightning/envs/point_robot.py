"""The point robot: move to a hidden goal that can be inferred from the reward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.tasks import TaskDistribution

STEP_SIZE = 0.1
"""Largest move per step and axis."""
GOAL_RADIUS = 0.2
"""Largest distance to the goal with a sparse reward."""
HORIZON = 20
"""Number of steps in an episode."""
ACTION_TOLERANCE = 1e-5
"""Tolerance for actions outside [-1, 1] because of rounding errors."""

Goals = Literal["square", "half_circle"]


@dataclass(frozen=True)
class PointTask:
    """Task of the point robot: a goal.

    Args:
        goal: Position (x, y) of the goal.
    """

    goal: tuple[float, float]


class PointTasks(TaskDistribution[PointTask]):
    """Base class of point robot task families, including custom ones; a config names a subclass as ``tasks``.

    This class is needed because jsonargparse does not accept class paths for a parametrized type such as
    ``TaskDistribution[PointTask]``.
    """

    hidden = "where the goal is"


class GoalTasks(PointTasks):
    """Goals drawn uniformly from a region; all goals differ.

    Args:
        train_tasks: Number of train goals, at least 1.
        validation_tasks: Number of held-out goals for evaluation during training, at least 1. The test split depends on
            this number, the train split does not.
        test_tasks: Number of held-out goals for the final evaluation, at least 1. The other splits do not depend on it.
        seed: Seed of all splits, independent of all other random numbers.
        goals: Region of the goals. ``square`` is [-1, 1] x [-1, 1] (for dense rewards); ``half_circle`` contains the
            points at distance 1 from the origin with nonnegative y (for sparse rewards).
    """

    def __init__(
        self,
        *,
        train_tasks: int = 100,
        validation_tasks: int = 20,
        test_tasks: int = 20,
        seed: int = 0,
        goals: Goals = "square",
    ) -> None:
        counts = {"train_tasks": train_tasks, "validation_tasks": validation_tasks, "test_tasks": test_tasks}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if goals not in get_args(Goals):
            raise ValueError(f"goals must be one of {get_args(Goals)}, got {goals!r}")
        generator = torch.Generator().manual_seed(seed)
        drawn: dict[PointTask, None] = {}  # an ordered set
        while len(drawn) < sum(counts.values()):
            drawn[PointTask(_draw_goal(goals, generator))] = None
        tasks, held_out = tuple(drawn), train_tasks + validation_tasks
        self.train, self.validation, self.test = tasks[:train_tasks], tasks[train_tasks:held_out], tasks[held_out:]

    def descriptors(self) -> Tensor:
        return torch.tensor([task.goal for task in self.train])

    def describe(self, index: int) -> str:
        x, y = self[index].goal
        return f"go to ({x:+.2f}, {y:+.2f})"


class PointRobot(MetaEnv):
    """A point that moves in the plane towards a hidden goal (Rakelly et al. 2019, sec. 6.3 and appendix).

    There is one agent. The observation is the position (x, y). An action in [-1, 1] per axis moves the point by a tenth
    of the action. After 20 steps the episode is *truncated*; it does not terminate, so the value of the last state
    counts.

    Dense: the start is uniform in [-1, 1] x [-1, 1], and the reward is minus the distance to the goal after the move.
    With uniform goals in the same square, the mean return is -5.2 for going straight to the goal, -15.9 for going to
    the origin, and -21.4 for uniform actions.

    Sparse: the start is the origin, and the reward is 1 minus the distance within 0.2 of the goal, else 0. With goals
    on the half-circle, the mean return is 13.4 for going straight to the goal and 0.00 for uniform actions. The dense
    reward is written as ``training_reward``: the learner meta-trains on it, whereas context and evaluation use the
    sparse reward (sec. 6.3).

    Differences from the original implementation (``rlkit/envs/point_robot.py`` of katerakelly/oyster):

    * Arenas are batched.
    * Goals and starts come from separate generators instead of NumPy's global one.
    * Goals on the half-circle are drawn uniformly instead of evenly spaced.
    * Actions outside [-1, 1] raise an error instead of being clipped.
    * The default is 100 train, 20 validation and 20 test tasks instead of 80 train and 20 test tasks.

    As in the original, the dense robot has random starts. They are important: from a fixed start at the origin, one
    straight path does not distinguish a goal from its mirror image, and learners converge to staying at the origin.

    Args:
        arenas: Number of arenas, at least 1.
        tasks: Task distribution with the goals.
        sparse: Whether to reward only positions near the goal and to start at the origin.
    """

    def __init__(self, *, arenas: int, tasks: PointTasks, sparse: bool = False) -> None:
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=ActionSpace(low=(-1.0, -1.0), high=(1.0, 1.0)),
            agents=1,
            features=2,
            horizon=HORIZON,
            has_training_reward=sparse,
        )
        self.sparse = sparse
        self._goal = torch.zeros(arenas, 1, 2)
        self._position = torch.zeros(arenas, 1, 2)
        self._played = HORIZON  # steps of the running episode; no episode is running yet

    def begin(self, tasks: list[Any]) -> Tensor:
        self._goal = torch.tensor([task.goal for task in tasks], dtype=torch.float32).unsqueeze(1)
        if self.sparse:
            self._position = torch.zeros(self.arenas, 1, 2)
        else:
            self._position = 2 * torch.rand(self.arenas, 1, 2, generator=self.generator) - 1
        self._played = 0
        return self._position.clone()

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if self._played >= HORIZON:
            raise RuntimeError("no episode is running: call reset() before the first step and after the last")
        _check_actions(action, (self.arenas, 1, 2))
        self._position = self._position + STEP_SIZE * action.clamp(-1, 1)
        self._played += 1
        distance = (self._position - self._goal).norm(dim=-1)  # [arena, agent]
        result: dict[str, Tensor | bool] = {
            "observation": self._position.clone(),
            "reward": -distance,
            "terminated": False,
            "truncated": self._played == HORIZON,
        }
        if self.sparse:
            result["reward"] = (1 - distance) * (distance <= GOAL_RADIUS)
            result["training_reward"] = -distance
        return result


def _draw_goal(goals: Goals, generator: torch.Generator) -> tuple[float, float]:
    x, y = torch.rand(2, dtype=torch.float64, generator=generator).tolist()
    if goals == "square":
        return 2 * x - 1, 2 * y - 1
    return math.cos(math.pi * x), math.sin(math.pi * x)


def _check_actions(action: Tensor, shape: tuple[int, ...]) -> None:
    if action.shape != shape:
        raise ValueError(f"action must have shape {list(shape)} [arena, agent, axis], got {list(action.shape)}")
    legal = action.abs() <= 1 + ACTION_TOLERANCE  # False for NaN
    if not legal.all():
        entry = (~legal).nonzero()[0].tolist()
        raise ValueError(f"action {entry} [arena, agent, axis] must be in [-1, 1], got {float(action[tuple(entry)])}")
