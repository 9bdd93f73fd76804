"""The walker and the hopper with hidden dynamics."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.mujoco.env import Body, MujocoEnv
from pearl_lightning.envs.mujoco.tasks import Dynamics

if TYPE_CHECKING:
    import mujoco

FACTORS: Mapping[str, float] = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}
"""Fields of the model that a task changes. Each number is multiplied by this factor to the power of u, u ~ U[-3, 3]."""


def with_dynamics(model: mujoco.MjModel, task: Dynamics) -> mujoco.MjModel:
    """A copy of a model with the dynamics of a task."""
    generator = torch.Generator().manual_seed(task.seed)
    changed = copy.copy(model)
    for name, factor in FACTORS.items():
        values = getattr(changed, name)
        exponents = 6 * torch.rand(values.shape, generator=generator, dtype=torch.float64).numpy() - 3
        values *= np.power(factor, exponents)
    return changed


class RandomBody(MujocoEnv):
    """A body in the plane with hidden dynamics; base class of walker and hopper (``rand_param_envs``).

    Observation: all positions but that along the x-axis, and all velocities, clipped to [-10, 10]. The reward of a step
    is the forward velocity, plus 1, minus 0.001 times the squared norm of the action. As in the original, the model's
    constants that MuJoCo derives from the masses are those of the unchanged body.
    """

    task_kind = Dynamics

    @cached_property
    def _models(self) -> dict[Dynamics, mujoco.MjModel]:
        """Models of the tasks that were played."""
        return {}

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        for task in tasks:
            if task not in self._models:
                self._models[task] = with_dynamics(self.physics.model, task)
        self.physics.use([self._models[task] for task in tasks])

    def observe(self) -> Tensor:
        return torch.cat([self.physics.qpos[:, 1:], self.physics.qvel.clamp(-10, 10)], dim=-1)

    def place(self) -> Tensor:
        return self.physics.qpos[:, :1]

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        return velocity[:, 0] + 1 - 1e-3 * action.square().sum(dim=-1)

    @abstractmethod
    def fallen(self) -> Tensor: ...


class WalkerParams(RandomBody):
    """The walker with hidden dynamics (Walker-2D-Params in Rakelly et al. 2019).

    An episode terminates when the torso's height is outside (0.8, 2) or its angle is outside (-1, 1).
    """

    body = Body(file="walker2d_v5.xml", substeps=4, position_noise=0.005, velocity_noise=0.005)
    observed = 17

    def fallen(self) -> Tensor:
        height, angle = self.physics.qpos[:, 1], self.physics.qpos[:, 2]
        return ~((height > 0.8) & (height < 2) & (angle.abs() < 1))


class HopperParams(RandomBody):
    """The hopper with hidden dynamics.

    An episode terminates when the torso's height is at most 0.7, its angle is outside (-0.2, 0.2), or a position
    (other than x and height) or velocity is outside (-100, 100).
    """

    body = Body(file="hopper.xml", substeps=4, position_noise=0.005, velocity_noise=0.005)
    observed = 11

    def fallen(self) -> Tensor:
        qpos = self.physics.qpos
        is_slow = torch.cat([qpos[:, 2:], self.physics.qvel], dim=-1).abs().amax(dim=-1) < 100
        return ~(is_slow & (qpos[:, 1] > 0.7) & (qpos[:, 2].abs() < 0.2))
