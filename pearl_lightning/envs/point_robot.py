"""The point robot: walk to a goal that only the reward tells of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import MetaEnv, TaskDistribution

STEP_SIZE = 0.1
"""Longest move per step and axis."""
GOAL_RADIUS = 0.2
"""Distance to the goal within which the sparse reward is paid."""
HORIZON = 20
"""Steps of an episode."""
ACTION_TOLERANCE = 1e-5
"""How far a rounding error may carry an action out of [-1, 1]."""

Goals = Literal["square", "half_circle"]


@dataclass(frozen=True)
class PointTask:
    """What is hidden from the robot: where it should go.

    Args:
        goal: Position (x, y).
    """

    goal: tuple[float, float]


class PointTasks(TaskDistribution[PointTask]):
    """A distribution over point tasks: what a config may name as ``tasks``; derive own families from it.

    It exists because jsonargparse refuses class paths for a parametrized type such as ``TaskDistribution[PointTask]``.
    """


class GoalTasks(PointTasks):
    """Goals drawn uniformly from a region, no two of them equal.

    Args:
        train_tasks: Goals of the train split, at least 1.
        validation_tasks: Goals to play while training, at least 1; the test split depends on it, the train split does
            not.
        test_tasks: Goals to play at the end, at least 1; nothing else depends on it.
        seed: Fixes all splits, whatever other random numbers the program draws.
        goals: ``square`` is [-1, 1] x [-1, 1] (for dense rewards); ``half_circle`` are the points at distance 1 from
            the origin whose y is not negative (for sparse rewards).
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

    One agent. The observation is the position (x, y); an action in [-1, 1] moves it by a tenth of itself along each
    axis, so by at most 0.1 per axis. After 20 steps the episode is *truncated*: it does not terminate, so the value of
    the last state counts.

    Dense: the start is uniform in [-1, 1] x [-1, 1] and the reward is minus the distance to the goal after the move.
    With uniform goals in the same square, greedily going to the goal scores -5.2 per episode, going to the origin
    -15.9, uniform actions -21.4.

    Sparse: the start is the origin and the reward is 1 minus the distance, paid only within 0.2 of the goal. With goals
    on the half-circle, greedily going there scores 13.4, uniform actions 0.00. The dense reward is written as
    ``training_reward``: the learner meta-trains on it, while context and evaluation see the sparse one (sec. 6.3).

    What differs from the original implementation (``rlkit/envs/point_robot.py`` of katerakelly/oyster): arenas are
    played as one batch; goals and starts come from generators of their own instead of NumPy's global one; goals on the
    half-circle are drawn uniformly instead of spaced evenly; actions outside [-1, 1] are refused instead of clipped;
    100 train, 20 validation and 20 test tasks are the default instead of 80 train and 20 test tasks. Random
    starts of the dense robot are the original's too, and they matter: from a fixed start at the origin, one straight
    path cannot tell a goal from its mirror image, and learners settle on staying at the origin.

    Args:
        arenas: Robots that are played as one batch, at least 1.
        tasks: The goals.
        sparse: Pay only near the goal, and start at the origin.
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
        self._played = HORIZON  # steps of the running episode; none is running yet

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
