"""The humanoid: walk in a hidden direction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pearl_lightning.envs.mujoco.env import Body, MujocoEnv
from pearl_lightning.envs.mujoco.tasks import Direction

_HUMANOID = Body(
    file="humanoid.xml",
    substeps=5,
    position_noise=0.01,
    velocity_noise=0.01,
    derived=("cinert", "cvel", "qfrc_actuator", "cfrc_ext", "xipos"),
)
_LOWEST, _HIGHEST = 1.0, 2.0  # heights of the torso outside of which an episode terminates


class HumanoidDir(MujocoEnv):
    """The humanoid that walks in a hidden direction (Humanoid-Direc-2D in Rakelly et al. 2019).

    Observation: all positions but those in the plane, all velocities, inertias and velocities of the parts of the body,
    forces of the actuators and external forces (``rlkit/envs/humanoid_dir.py`` of oyster). The reward of a step is 1.25
    times the velocity of the centre of mass in the direction, plus 5, minus 0.1 times the squared norm of the controls
    and the cost of impacts, at most 10. Standing still is rewarded with 5 per step. An episode terminates when the
    torso is lower than 1 or higher than 2.
    """

    body = _HUMANOID
    observed = 376
    task_kind = Direction

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        self._direction = torch.tensor([task.vector() for task in tasks], dtype=torch.float64)

    def observe(self) -> Tensor:
        derived = self.physics.derived
        parts = [derived[name] for name in ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")]
        return torch.cat([self.physics.qpos[:, 2:], self.physics.qvel, *parts], dim=-1)

    def place(self) -> Tensor:
        masses = torch.from_numpy(self.physics.model.body_mass.copy())
        parts = self.physics.derived["xipos"].unflatten(-1, (-1, 3))  # [arena, part, axis]
        return (masses.unsqueeze(-1) * parts).sum(dim=1)[:, :2] / masses.sum()

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        forward = 0.25 * self.body.substeps * (velocity * self._direction).sum(dim=-1)
        control = self._middle + self._half_range * action
        impact = 0.5e-6 * self.physics.derived["cfrc_ext"].square().sum(dim=-1)
        return forward + 5 - 0.1 * control.square().sum(dim=-1) - impact.clamp(max=10)

    def fallen(self) -> Tensor:
        height = self.physics.qpos[:, 2]
        return (height < _LOWEST) | (height > _HIGHEST)
