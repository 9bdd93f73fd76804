"""Task families of the MuJoCo bodies: directions, goals and dynamics. Target velocities need no more than a range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pearl_lightning.envs.tasks import TaskDistribution


@dataclass(frozen=True)
class Direction:
    """A direction to move in.

    Args:
        angle: Angle from the x-axis, in radians.
    """

    angle: float

    def vector(self) -> tuple[float, float]:
        """The direction as a unit vector (x, y)."""
        return math.cos(self.angle), math.sin(self.angle)


@dataclass(frozen=True)
class Goal:
    """A place to move to.

    Args:
        position: Position (x, y) of the goal, in metres.
    """

    position: tuple[float, float]


@dataclass(frozen=True)
class Dynamics:
    """Masses, inertias, frictions and dampings of a body.

    Args:
        seed: Seed of the factors by which they are multiplied.
    """

    seed: int


class ForwardBackward(TaskDistribution[Direction]):
    """The two directions forward and backward. All splits contain both, as in the paper."""

    hidden = "the direction to move in"

    def __init__(self) -> None:
        self.train = self.validation = self.test = (Direction(0.0), Direction(math.pi))

    def descriptors(self) -> Tensor:
        return torch.tensor([[1.0], [-1.0]])

    def describe(self, index: int) -> str:
        return "move forward" if self[index].angle == 0 else "move backward"

    def kind(self, index: int) -> str:
        return "forward" if self[index].angle == 0 else "backward"


class _DrawnTasks:
    """Numbers of tasks and the generator of a family that is drawn."""

    def __init__(self, train_tasks: int, validation_tasks: int, test_tasks: int, seed: int) -> None:
        for name, value, least in (
            ("train_tasks", train_tasks, 1),
            ("validation_tasks", validation_tasks, 0),
            ("test_tasks", test_tasks, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.counts = train_tasks, validation_tasks, test_tasks
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, width: int) -> list[list[list[float]]]:
        """Uniform numbers in [0, 1) of each split, ``[split][task][number]``."""
        return [
            torch.rand(count, width, generator=self.generator, dtype=torch.float64).tolist() for count in self.counts
        ]


class Directions(TaskDistribution[Direction]):
    """Directions in the plane, drawn uniformly.

    Args:
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
    """

    hidden = "the direction to move in"

    def __init__(
        self, *, train_tasks: int = 100, validation_tasks: int = 30, test_tasks: int = 30, seed: int = 0
    ) -> None:
        drawn = _DrawnTasks(train_tasks, validation_tasks, test_tasks, seed).uniform(1)
        splits = [tuple(Direction(2 * math.pi * share) for (share,) in split) for split in drawn]
        self.train, self.validation, self.test = splits

    def descriptors(self) -> Tensor:
        return torch.tensor([task.vector() for task in self.train])

    def describe(self, index: int) -> str:
        return f"move at {math.degrees(self[index].angle):.0f} degrees"


class GoalsInDisc(TaskDistribution[Goal]):
    """Goals drawn uniformly from a disc around the start.

    Args:
        radius: Radius of the disc, in metres; above 0.
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
    """

    hidden = "where the goal is"

    def __init__(
        self,
        *,
        radius: float = 3.0,
        train_tasks: int = 150,
        validation_tasks: int = 30,
        test_tasks: int = 30,
        seed: int = 0,
    ) -> None:
        if not 0 < radius < math.inf:
            raise ValueError(f"radius must be above 0 and finite, got {radius}")
        drawn = _DrawnTasks(train_tasks, validation_tasks, test_tasks, seed).uniform(2)
        splits = [tuple(self._goal(radius, *shares) for shares in split) for split in drawn]
        self.train, self.validation, self.test = splits

    @staticmethod
    def _goal(radius: float, angle: float, area: float) -> Goal:
        distance = radius * math.sqrt(area)
        return Goal((distance * math.cos(2 * math.pi * angle), distance * math.sin(2 * math.pi * angle)))

    def descriptors(self) -> Tensor:
        return torch.tensor([task.position for task in self.train])

    def describe(self, index: int) -> str:
        x, y = self[index].position
        return f"go to ({x:+.2f}, {y:+.2f})"


class RandomDynamics(TaskDistribution[Dynamics]):
    """Dynamics that differ in every mass, inertia, friction and damping.

    Args:
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
    """

    hidden = "the dynamics of the body"

    def __init__(
        self, *, train_tasks: int = 40, validation_tasks: int = 10, test_tasks: int = 10, seed: int = 0
    ) -> None:
        drawn = _DrawnTasks(train_tasks, validation_tasks, test_tasks, seed).uniform(1)
        splits = [tuple(Dynamics(int(share * 2**31)) for (share,) in split) for split in drawn]
        self.train, self.validation, self.test = splits

    def describe(self, index: int) -> str:
        return f"dynamics {self[index].seed}"
