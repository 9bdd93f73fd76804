"""GymnasiumEnv: any Gymnasium environment as a MetaEnv."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pearl_lightning.envs.gymnasium_arenas import Arenas, maker, trial
from pearl_lightning.envs.gymnasium_tasks import TaskBy
from pearl_lightning.envs.gymnasium_workers import ArenaWorkers
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.envs.spaces import observation_features, to_action_space
from pearl_lightning.envs.tasks import TaskDistribution


class GymnasiumEnv(MetaEnv):
    """Any Gymnasium environment, in arenas of one agent each; vectorized by Gymnasium.

    Observations are flattened by Gymnasium's own functions. Actions may be bounded boxes, discrete choices, and tuples
    and dicts of them. If the environment reports ``info["success"]``, evaluations report the share of episodes with a
    success. Each reset seeds the environments, so the same seed gives the same episodes, with workers and without.

    Args:
        id: Id of a registered environment such as ``Pendulum-v1``, or the path ``module.Class`` of one. The id
            ``module:Name-v0`` imports the module that registers it.
        arenas: Number of arenas, at least 1.
        tasks: Task distribution; each task is a mapping of names to values. ``ParameterTasks`` needs no code.
        horizon: Largest number of steps in an episode; by default the one that the environment is registered with.
        kwargs: Further arguments of the environment's constructor.
        task_by: How a task reaches the environment: as ``attributes`` of ``env.unwrapped``, as ``options`` of
            ``reset``, by its method ``set_task(task)``, or as arguments of the ``constructor``. Attributes may be paths
            such as ``dynamics.mass``; a number in a path is an index, as in ``model.opt.gravity.2``.
        observe_task: Whether observations also contain the parameters of ``ParameterTasks``, for an oracle.
        vectorization: Whether the arenas are played in this process (``sync``) or by workers (``async``). The results
            are the same. If a worker dies or does not answer in time, the episode is lost and played again.
        workers: Number of worker processes of ``async``, each with a share of the arenas, in [1, arenas]; by default
            one per available core, up to ``arenas``.
        timeout: Time limit in seconds for each answer of a worker, above 0. The start of a worker may take 60 s.

    Raises:
        ValueError: The environment cannot be made, a task does not fit it, a space is not supported, a setting is
            outside its range, or there is no horizon.
        RuntimeError: A package that the environment needs is not installed.
    """

    def __init__(
        self,
        *,
        id: str,
        arenas: int,
        tasks: TaskDistribution,
        horizon: int | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_by: TaskBy = "attributes",
        observe_task: bool = False,
        vectorization: Literal["sync", "async"] = "sync",
        workers: int | None = None,
        timeout: float = 60.0,
    ) -> None:
        _check_settings(arenas, vectorization, workers, timeout)
        if observe_task and not isinstance(tasks, ParameterTasks):
            raise ValueError(f"observe_task needs ParameterTasks, got {type(tasks).__name__}")
        make = maker(id, kwargs or {})
        sample = trial(make, task_by, tasks[0], id)
        self.id, self.observe_task = id, observe_task
        self._render_modes, self._render_mode = sample.metadata.get("render_modes", []), sample.render_mode
        self.pictures_per_second = float(sample.metadata.get("render_fps") or MetaEnv.pictures_per_second)
        features = observation_features(sample.observation_space)
        if isinstance(tasks, ParameterTasks) and observe_task:
            features += len(tasks.numbers(tasks[0]))
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=to_action_space(sample.action_space),
            agents=1,
            features=features,
            horizon=_horizon(horizon, sample, id),
            observes_task=observe_task,
        )
        sample.close()
        self._arenas: Arenas | ArenaWorkers
        if vectorization == "sync":
            self._arenas = Arenas(make, task_by, tasks[0], range(arenas))
        else:
            workers = workers or min(arenas, _cores())
            self._arenas = ArenaWorkers(make, task_by, tasks[0], arenas=arenas, workers=workers, timeout=timeout)
        self._privileged = torch.zeros(arenas, 1, 0)
        self._successes: Tensor | None = None

    def prepare(self) -> float:
        """Start the workers, if there are any. This is no compilation, so the seconds are 0."""
        self.is_closed = False
        self._arenas.start()
        return 0.0

    def begin(self, tasks: list[Any]) -> Tensor:
        self.is_closed = False  # garbage collection of the environment then ends its workers
        seeds = torch.randint(2**31 - 1, (self.arenas,), generator=self.generator).tolist()
        features = self._arenas.begin(tasks, seeds)
        self._successes = None
        if self.observe_task:
            assert isinstance(self.tasks, ParameterTasks)
            self._privileged = torch.tensor([self.tasks.numbers(task) for task in tasks]).unsqueeze(1)
        return self._seen(features)

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        played = self._arenas.advance(action[:, 0].detach().cpu().numpy())
        success = torch.from_numpy(played["success"])  # NaN if it is not reported
        if not success.isnan().all():
            earlier = False if self._successes is None else self._successes
            self._successes = (success == 1) | earlier
        return {
            "observation": self._seen(played["observation"]),
            "reward": torch.from_numpy(played["reward"]).unsqueeze(1),
            "terminated": torch.from_numpy(played["terminated"]),
            "truncated": torch.from_numpy(played["truncated"]),
        }

    def picture(self) -> NDArray[np.uint8]:
        """Draw the first arena, as RGB values ``[row, column, 3]``.

        Raises:
            ValueError: The environment was not made with the render mode ``rgb_array``.
        """
        if self._render_mode != "rgb_array":
            raise ValueError(
                f"pictures of {self.id} need kwargs.render_mode rgb_array, got {self._render_mode}; "
                f"the environment has the modes {self._render_modes}"
            )
        return self._arenas.picture()

    def episode_statistics(self) -> dict[str, Tensor]:
        return {} if self._successes is None else {"success": self._successes.float()}

    def report(self) -> dict[str, str | int]:
        """Number of workers and of their restarts; empty without workers."""
        return self._arenas.report()

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Close the environments, and end the workers. The next reset starts the workers again."""
        self._arenas.close()
        super().close(raise_if_closed=raise_if_closed)

    def _seen(self, features: NDArray[np.float32]) -> Tensor:
        """Features of the environments as observations ``[arena, 1, feature]``."""
        seen = torch.from_numpy(features).unsqueeze(1)
        return torch.cat([seen, self._privileged], dim=-1) if self.observe_task else seen


def _check_settings(arenas: int, vectorization: str, workers: int | None, timeout: float) -> None:
    if arenas < 1:
        raise ValueError(f"arenas must be at least 1, got {arenas}")
    if vectorization not in ("sync", "async"):
        raise ValueError(f"vectorization must be sync or async, got {vectorization!r}")
    if workers is not None and vectorization == "sync":
        raise ValueError(f"workers needs vectorization async, got {workers} with sync")
    if workers is not None and not 1 <= workers <= arenas:
        raise ValueError(f"workers must be in [1, {arenas}], the number of arenas, got {workers}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be above 0 s and finite, got {timeout}")


def _horizon(given: int | None, env: gymnasium.Env[Any, Any], id: str) -> int:
    registered = env.spec.max_episode_steps if env.spec is not None else None
    horizon = registered if given is None else given
    if horizon is None:
        raise ValueError(f"horizon must be given, because {id} has no max_episode_steps of its own, got None")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    return horizon


def _cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
