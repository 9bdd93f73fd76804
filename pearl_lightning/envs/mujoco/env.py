"""MujocoEnv: a body that is simulated in every arena, and what a task family of the PEARL paper adds to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.tasks import TaskDistribution

if TYPE_CHECKING:
    from pearl_lightning.envs.mujoco.camera import Camera
    from pearl_lightning.envs.mujoco.physics import Physics

HORIZON = 200
"""Number of steps in an episode of the paper."""
ACTION_TOLERANCE = 1e-5
"""Tolerance for actions outside [-1, 1] because of rounding errors."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body of Gymnasium's MuJoCo environments.

    Args:
        file: Name of the model's file.
        substeps: Number of simulation steps per step of the environment.
        position_noise: Half width of the uniform noise on the positions at the start.
        velocity_noise: Half width of the uniform noise on the velocities at the start, or the standard deviation of
            Gaussian noise.
        gaussian_velocities: Whether the noise on the velocities is Gaussian.
        derived: Fields of ``MjData`` that observations or rewards contain.
    """

    file: str
    substeps: int
    position_noise: float
    velocity_noise: float
    gaussian_velocities: bool = False
    derived: Sequence[str] = ()


class MujocoEnv(MetaEnv):
    """A body in MuJoCo with one agent per arena; base class of the task families.

    Actions are in [-1, 1] and scaled to the range of each actuator. Positions, velocities, observations and rewards are
    computed in float64 and returned in float32.

    Args:
        arenas: Number of arenas, at least 1.
        tasks: Task distribution of the family.
        horizon: Largest number of steps in an episode, at least 1.
        threads: Number of threads of the simulation, at least 1; by default those of PyTorch, which waits meanwhile.

    Raises:
        ValueError: A number is below 1, or a task is not one of the family.
    """

    body: Body
    """The body that is simulated."""
    observed: int
    """Number of features of an observation."""
    task_kind: type
    """Class of the family's tasks."""

    def __init__(
        self, *, arenas: int, tasks: TaskDistribution, horizon: int = HORIZON, threads: int | None = None
    ) -> None:
        from pearl_lightning.envs.mujoco.physics import Physics, load_model

        threads = torch.get_num_threads() if threads is None else threads
        for name, value in (("arenas", arenas), ("horizon", horizon), ("threads", threads)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        model = load_model(self.body.file)
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=ActionSpace(low=(-1.0,) * model.nu, high=(1.0,) * model.nu),
            agents=1,
            features=self.observed,
            horizon=horizon,
        )
        self.check_task(tasks[0])
        self.physics: Physics = Physics(
            model, arenas=arenas, substeps=self.body.substeps, threads=threads, derived=self.body.derived
        )
        low, high = torch.from_numpy(model.actuator_ctrlrange.copy()).unbind(dim=1)
        self._middle, self._half_range = (low + high) / 2, (high - low) / 2
        self.pictures_per_second = 1 / self.physics.step_seconds
        self._camera: Camera | None = None
        self._start_qpos = torch.from_numpy(model.qpos0.copy())

    def check_task(self, task: Any) -> None:
        """Refuse a task that is not one of the family.

        Raises:
            ValueError: The task is of another class.
        """
        if not isinstance(task, self.task_kind):
            raise ValueError(
                f"tasks must contain {self.task_kind.__name__} for {type(self).__name__}, got {type(task).__name__}"
            )

    @abstractmethod
    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        """Prepare an episode with one task per arena."""

    @abstractmethod
    def observe(self) -> Tensor:
        """Compute the observations ``[arena, feature]`` from ``physics``."""

    @abstractmethod
    def place(self) -> Tensor:
        """Compute the positions whose change is rewarded ``[arena, axis]``."""

    @abstractmethod
    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        """Compute the rewards ``[arena]`` of a step.

        Args:
            velocity: Change of ``place`` over the step per second ``[arena, axis]``.
            action: Actions in [-1, 1] ``[arena, actuator]``.
        """

    def fallen(self) -> Tensor | None:
        """Compute whether the episode terminates in each arena ``[arena]``; None if it never does."""
        return None

    def begin(self, tasks: list[Any]) -> Tensor:
        self.set_tasks_of_arenas(tasks)
        qpos, qvel = self._start_qpos.expand(self.arenas, -1), torch.zeros(self.arenas, self.physics.model.nv).double()
        self.physics.start(
            qpos + self.body.position_noise * self._uniform(qpos), qvel + self.body.velocity_noise * self._noise(qvel)
        )
        self._place = self.place()
        return self.observe().float().unsqueeze(1)

    def _uniform(self, like: Tensor) -> Tensor:
        return 2 * torch.rand(like.shape, generator=self.generator, dtype=torch.float64) - 1

    def _noise(self, like: Tensor) -> Tensor:
        if not self.body.gaussian_velocities:
            return self._uniform(like)
        return torch.randn(like.shape, generator=self.generator, dtype=torch.float64)

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        given = action[:, 0].detach().cpu().double()
        self._check_actions(given)
        given = given.clamp(-1, 1)
        self.physics.step(self._middle + self._half_range * given, ~self.ended.cpu())
        before, self._place = self._place, self.place()
        reward = self.rewards((self._place - before) / self.physics.step_seconds, given)
        fallen = self.fallen()
        return {
            "observation": self.observe().float().unsqueeze(1),
            "reward": reward.float().unsqueeze(1),
            "terminated": False if fallen is None else fallen,
            "truncated": False,
        }

    def _check_actions(self, action: Tensor) -> None:
        legal = action.abs() <= 1 + ACTION_TOLERANCE  # False for NaN
        if not legal.all():
            arena, number = (~legal).nonzero()[0].tolist()
            raise ValueError(f"action {number} of arena {arena} must be in [-1, 1], got {float(action[arena, number])}")

    def picture(self) -> NDArray[np.uint8]:
        """Draw the first arena, as RGB values ``[row, column, 3]``.

        Raises:
            RuntimeError: Neither EGL nor OSMesa is installed.
        """
        from pearl_lightning.envs.mujoco.camera import Camera

        self._camera = self._camera or Camera(self.physics.model)
        return self._camera.picture(*self.physics.first_arena())

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the threads of the simulation; the next episode starts them again."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        self.physics.close()
        super().close(raise_if_closed=raise_if_closed)
