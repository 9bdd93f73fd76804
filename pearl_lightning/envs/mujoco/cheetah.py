"""The half-cheetah: run forward or backward, or at a hidden velocity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pearl_lightning.envs.mujoco.env import Body, MujocoEnv
from pearl_lightning.envs.mujoco.tasks import Direction

_CHEETAH = Body(file="half_cheetah.xml", substeps=5, position_noise=0.1, velocity_noise=0.1, gaussian_velocities=True)
_TORSO_HEIGHT = 0.7  # of the model's torso where the joint of the height is at 0


class Cheetah(MujocoEnv):
    """The half-cheetah, which never falls; base class of its two families (``rlkit/envs/half_cheetah.py`` of oyster).

    Observation: all positions but that along the x-axis, all velocities, and the place (x, y, z) of the torso.
    """

    body = _CHEETAH
    observed = 20

    def observe(self) -> Tensor:
        qpos = self.physics.qpos
        x, height = qpos[:, :1], _TORSO_HEIGHT + qpos[:, 1:2]
        return torch.cat([qpos[:, 1:], self.physics.qvel, x, torch.zeros_like(x), height], dim=-1)

    def place(self) -> Tensor:
        return self.physics.qpos[:, :1]


class CheetahDir(Cheetah):
    """The half-cheetah that runs forward or backward (Half-Cheetah-Fwd-Back in Rakelly et al. 2019).

    The reward of a step is the velocity in the hidden direction minus 0.05 times the squared norm of the action.
    """

    task_kind = Direction

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        self._sign = torch.tensor([task.vector()[0] for task in tasks], dtype=torch.float64)

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        return self._sign * velocity[:, 0] - 0.05 * action.square().sum(dim=-1)


class CheetahVel(Cheetah):
    """The half-cheetah that runs at a hidden velocity (Half-Cheetah-Vel in Rakelly et al. 2019).

    The reward of a step is minus the distance to the target velocity minus 0.05 times the squared norm of the action.
    A task is a mapping with the key ``velocity``, in metres per second; ``ParameterTasks`` draws it.
    """

    task_kind = Mapping

    def check_task(self, task: Any) -> None:
        super().check_task(task)
        if set(task) != {"velocity"}:
            raise ValueError(f"tasks must have the parameter velocity and no other, got {', '.join(task)}")

    def set_tasks_of_arenas(self, tasks: list[Any]) -> None:
        self._target = torch.tensor([task["velocity"] for task in tasks], dtype=torch.float64)

    def rewards(self, velocity: Tensor, action: Tensor) -> Tensor:
        return -(velocity[:, 0] - self._target).abs() - 0.05 * action.square().sum(dim=-1)
