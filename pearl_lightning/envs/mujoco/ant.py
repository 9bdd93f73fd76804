"""The ant: move in a hidden direction, or to a hidden goal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pearl_lightning.envs.mujoco.env import Body, MujocoEnv
from pearl_lightning.envs.mujoco.tasks import Direction, Goal

_ANT = Body(
    file="ant.xml",
    substeps=5,
    position_noise=0.1,
    velocity_noise=0.1,
    gaussian_velocities=True,
    derived=("cfrc_ext",),
)
_LOWEST, _HIGHEST = 0.2, 1.0  # heights of the torso outside of which an episode of AntDir terminates


class Ant(MujocoEnv):
    """The ant; base class of its two families (``rlkit/envs/ant.py`` of oyster)."""

    body = _ANT

    def place(self) -> Tensor:
        return self.physics.qpos[:, :2]

    def contact_forces(self) -> Tensor:
        """External forces and torques on each part of the body, clipped to [-1, 1] ``[arena, number]``."""
        return self.physics.derived["cfrc_ext"].clamp(-1, 1)

    def contact_cost(self) -> Tensor:
        """Cost of external forces ``[arena]``."""
        return 0.5e-3 * self.contact_forces().square().sum(dim=-1)


class AntDir(Ant):
    """The ant that moves in a hidden direction (Ant-Fwd-Back in Rakelly et al. 2019).

    Observation: all positions but those in the plane, and all velocities. The reward of a step is the velocity in the
    direction, plus 1, minus half the squared norm of the action and the cost of external forces. An episode terminates
    when the torso is lower than 0.2 or higher than 1.
    """

    observed = 27
    task_kind = Direction

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        self._direction = torch.tensor([task.vector() for task in tasks], dtype=torch.float64)

    def observe(self) -> Tensor:
        return torch.cat([self.physics.qpos[:, 2:], self.physics.qvel], dim=-1)

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        forward = (velocity * self._direction).sum(dim=-1)
        return forward + 1 - 0.5 * action.square().sum(dim=-1) - self.contact_cost()

    def fallen(self) -> Tensor:
        height = self.physics.qpos[:, 2]
        return (height < _LOWEST) | (height > _HIGHEST)


class AntGoal(Ant):
    """The ant that moves to a hidden goal in a disc (Ant-Goal-2D in Rakelly et al. 2019).

    Observation: all positions, all velocities and the clipped external forces. The reward of a step is minus the
    distance to the goal (sum over both axes), minus 0.1 times the squared norm of the action and the cost of external
    forces. Episodes never terminate.
    """

    observed = 113
    task_kind = Goal

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        self._goal = torch.tensor([task.position for task in tasks], dtype=torch.float64)

    def observe(self) -> Tensor:
        return torch.cat([self.physics.qpos, self.physics.qvel, self.contact_forces()], dim=-1)

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        distance = (self.place() - self._goal).abs().sum(dim=-1)
        return -distance - 0.1 * action.square().sum(dim=-1) - self.contact_cost()
