"""GymnasiumEnv: any Gymnasium environment as a MetaEnv."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import iterate
from torch import Tensor

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.envs.spaces import to_action_space, to_actions
from pearl_lightning.envs.tasks import TaskDistribution

TERMINATED, TRUNCATED, SUCCESS = "arena_terminated", "arena_truncated", "arena_success"
"""Keys of ``info`` that ``TaskWrapper`` sets."""
TaskBy = Literal["attributes", "options", "set_task", "constructor"]


class TaskWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives an environment its task at every reset, and stays where it is after the end of an episode.

    The end is reported in ``info``, because Gymnasium's vectorized environments do not let the others play on after it.

    Args:
        make: Makes the environment, given keyword arguments.
        task_by: How the task reaches it (see ``GymnasiumEnv``).
    """

    def __init__(self, make: Callable[..., gymnasium.Env[Any, Any]], task_by: TaskBy) -> None:
        super().__init__(make())
        self.make, self.task_by = make, task_by
        self.task: Mapping[str, Any] = {}
        self._last: tuple[Any, float, bool, bool, dict[str, Any]] | None = None  # after the end

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._last = None
        if self.task_by == "constructor":
            self.env.close()
            self.env = self.make(**self.task)
        elif self.task_by == "set_task":
            self.env.unwrapped.set_task(self.task)  # type: ignore[attr-defined]
        elif self.task_by == "attributes":
            for name, value in self.task.items():
                setattr(self.env.unwrapped, name, value)
        given = dict(self.task) if self.task_by == "options" else options
        return self.env.reset(seed=seed, options=given)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self._last is not None:
            return self._last
        observation, reward, terminated, truncated, info = self.env.step(action)
        ends = {TERMINATED: bool(terminated), TRUNCATED: bool(truncated)}
        if terminated or truncated:
            self._last = observation, 0.0, False, False, ends
        success = {SUCCESS: bool(info["success"])} if "success" in info else {}
        return observation, reward, False, False, ends | success


class GymnasiumEnv(MetaEnv):
    """Any Gymnasium environment, in arenas of one agent each; vectorized by Gymnasium.

    Observations are flattened by Gymnasium's own functions. Actions may be bounded boxes, discrete choices, and tuples
    and dicts of them. If the environment reports ``info["success"]``, evaluations report the share of episodes with a
    success.

    Args:
        id: Id of a registered environment such as ``Pendulum-v1``, or the path ``module.Class`` of one.
        arenas: Number of arenas, at least 1.
        tasks: Task distribution; each task is a mapping of names to values. ``ParameterTasks`` needs no code.
        horizon: Largest number of steps in an episode; by default the one that the environment is registered with.
        kwargs: Further arguments of the environment's constructor.
        task_by: How a task reaches the environment: as ``attributes`` of ``env.unwrapped``, as ``options`` of
            ``reset``, by its method ``set_task(task)``, or as arguments of the ``constructor``.
        observe_task: Whether observations also contain the parameters of ``ParameterTasks``, for an oracle.

    Raises:
        ValueError: The environment cannot be made, a task does not fit it, an action space is not supported, or there
            is no horizon.
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
    ) -> None:
        make = _maker(id, kwargs or {})
        self._check_task(make, tasks[0], task_by, id)
        self._vector = SyncVectorEnv(
            [partial(TaskWrapper, make, task_by)] * arenas, autoreset_mode=AutoresetMode.DISABLED
        )
        spec = self._vector.envs[0].spec
        horizon = horizon or (spec.max_episode_steps if spec is not None else None)
        if horizon is None or horizon < 1:
            raise ValueError(f"horizon must be at least 1, and {id} is registered without one, got {horizon}")
        if observe_task and not isinstance(tasks, ParameterTasks):
            raise ValueError(f"observe_task needs ParameterTasks, got {type(tasks).__name__}")
        self._space, self.observe_task = self._vector.single_observation_space, observe_task
        features = gymnasium.spaces.utils.flatdim(self._space)
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=to_action_space(self._vector.single_action_space),
            agents=1,
            features=features + (len(tasks.parameters) if isinstance(tasks, ParameterTasks) and observe_task else 0),
            horizon=horizon,
            observes_task=observe_task,
        )
        self._privileged = torch.zeros(arenas, 1, 0)
        self._successes: Tensor | None = None

    @staticmethod
    def _check_task(make: Callable[..., Any], task: Any, task_by: TaskBy, id: str) -> None:
        """Refuse a task that the environment does not know, before anything is played.

        Raises:
            ValueError: It has no such attribute, method or argument.
        """
        env = make(**(task if task_by == "constructor" else {}))
        if task_by == "set_task" and not hasattr(env.unwrapped, "set_task"):
            raise ValueError(f"task_by must not be set_task for {id}, which has no method set_task")
        if task_by == "attributes":
            unknown = [name for name in task if not hasattr(env.unwrapped, name)]
            if unknown:
                raise ValueError(f"{id} has no attribute {', '.join(unknown)}: check the parameters, or set task_by")
        env.close()

    def begin(self, tasks: list[Any]) -> Tensor:
        self._vector.set_attr("task", tasks)
        seeds = torch.randint(2**31 - 1, (self.arenas,), generator=self.generator).tolist()
        observations, _ = self._vector.reset(seed=seeds)
        self._successes = None
        if self.observe_task:
            assert isinstance(self.tasks, ParameterTasks)
            self._privileged = torch.tensor([self.tasks.numbers(task) for task in tasks]).unsqueeze(1)
        return self._flat(observations)

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        rows = action[:, 0].detach().cpu().numpy()
        actions = to_actions(self._vector.single_action_space, rows, self.action_space.continuous)
        observations, reward, _, _, info = self._vector.step(actions)
        if SUCCESS in info:
            success = torch.from_numpy(info[SUCCESS].astype(bool))
            self._successes = success if self._successes is None else self._successes | success
        return {
            "observation": self._flat(observations),
            "reward": torch.from_numpy(np.asarray(reward, dtype=np.float32)).unsqueeze(1),
            "terminated": torch.from_numpy(info[TERMINATED].astype(bool)),
            "truncated": torch.from_numpy(info[TRUNCATED].astype(bool)),
        }

    def episode_statistics(self) -> dict[str, Tensor]:
        return {} if self._successes is None else {"success": self._successes.float()}

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Close the environments."""
        self._vector.close()
        super().close(raise_if_closed=raise_if_closed)

    def _flat(self, observations: Any) -> Tensor:
        """Observations of the vectorized environment as features ``[arena, 1, feature]``."""
        if isinstance(self._space, gymnasium.spaces.Box):
            rows = np.asarray(observations, dtype=np.float32).reshape(self.arenas, -1)
        else:
            each = iterate(self._vector.observation_space, observations)
            flattened: list[Any] = [gymnasium.spaces.utils.flatten(self._space, part) for part in each]
            rows = np.stack(flattened).astype(np.float32)
        flat = torch.from_numpy(rows.copy()).unsqueeze(1)
        return torch.cat([flat, self._privileged], dim=-1) if self.observe_task else flat


def _maker(id: str, kwargs: Mapping[str, Any]) -> Callable[..., gymnasium.Env[Any, Any]]:
    """A function that makes one environment.

    Raises:
        ValueError: There is no such environment.
    """
    if id in gymnasium.registry:
        return partial(gymnasium.make, id, **kwargs)
    if "." not in id and ":" not in id:
        raise ValueError(f"id must be a registered environment or module.Class, got {id!r}")
    try:
        kind = pkgutil.resolve_name(id)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"id must be a registered environment or module.Class, got {id!r}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, gymnasium.Env)):
        raise ValueError(f"id must be a registered environment or the path of a gymnasium.Env, got {id!r}")
    return partial(kind, **kwargs)
