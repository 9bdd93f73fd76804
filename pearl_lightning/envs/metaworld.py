"""Meta-World's meta-learning benchmarks: an environment for ``GymnasiumEnv``, and the official task splits."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pearl_lightning.envs.tasks import TaskDistribution

if TYPE_CHECKING:
    import metaworld

FEATURES, GOAL = 39, slice(36, 39)
"""Number of features of an observation, and those of the goal, which are 0 because the goal is hidden."""
GOALS = 50
"""Number of tasks of each environment in a split of Meta-World."""


@dataclass(frozen=True)
class MetaWorldTask:
    """A variation of one of Meta-World's environments.

    Args:
        env: Name of the environment, such as ``reach-v3``.
        vector: Random numbers of the task: start of the object and goal, as far as the environment varies them.
        official: Meta-World's own task. It contains pickled data, made in this process and never read from a file.
    """

    env: str
    vector: tuple[float, ...]
    official: metaworld.Task


class MetaWorldEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Plays any task of ``MetaWorldTasks``; the goal is hidden, as in Meta-World's meta-learning benchmarks.

    For ``GymnasiumEnv`` with ``task_by: set_task``. Rewards are between 0 and 10 per step.

    Args:
        render_mode: ``rgb_array`` for pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 80}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.task: MetaWorldTask | None = None
        self._env: Any = None  # Meta-World's environment of the task

    def set_task(self, task: MetaWorldTask) -> None:
        """Set the task from the next reset on; make another environment if it belongs to another one."""
        import metaworld

        if self.task is None or self.task.env != task.env:
            self.close()
            kinds: Mapping[str, Any] = metaworld.ALL_V3_ENVIRONMENTS
            self._env = kinds[task.env](render_mode=self.render_mode)
        self.task = task
        self._env.set_task(task.official)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode. The task alone decides how it starts; seed and options are not used.

        Raises:
            RuntimeError: There is no task.
        """
        if self._env is None:
            raise RuntimeError("MetaWorldEnv needs a task before reset: call set_task first")
        observation, info = self._env.reset()
        return observation, info

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self._env.step(action)
        return observation, float(reward), terminated, truncated, {"success": info["success"]}

    def render(self) -> Any:
        """Draw the robot, as RGB values ``[row, column, 3]``."""
        return self._env.render()

    def close(self) -> None:
        """Close Meta-World's environment."""
        if self._env is not None:
            self._env.close()


class MetaWorldTasks(TaskDistribution[MetaWorldTask]):
    """The official tasks of a meta-learning benchmark of Meta-World (Yu et al. 2019).

    Each environment has 50 tasks in each split that contains it. In ML1, training and test have different goals of one
    environment. In ML10, ML25 and ML45, the test tasks belong to environments that are not in training. Meta-World has
    no validation tasks, and settings must not be chosen on test tasks. Therefore the last ``validation_goals`` tasks of
    each training environment are held out from its 50 tasks.

    Args:
        benchmark: ``ML1``, ``ML10``, ``ML25`` or ``ML45``.
        env: Name of the environment of ML1, such as ``reach-v3``; null for the other benchmarks.
        validation_goals: Number of tasks of each training environment that are held out for validation, in [0, 49].
        seed: Seed of the goals in Meta-World, at least 0.

    Raises:
        ModuleNotFoundError: Meta-World is not installed.
        ValueError: A setting is out of its range.
    """

    hidden = "the goal and the name of the environment"

    def __init__(
        self,
        *,
        benchmark: Literal["ML1", "ML10", "ML25", "ML45"] = "ML1",
        env: str | None = "reach-v3",
        validation_goals: int = 10,
        seed: int = 0,
    ) -> None:
        if not 0 <= validation_goals < GOALS:
            raise ValueError(f"validation_goals must be in [0, {GOALS - 1}], got {validation_goals}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        official = _benchmark(benchmark, env, seed)
        train = [_read(task) for task in official.train_tasks]
        is_held_out = [index % GOALS >= GOALS - validation_goals for index in range(len(train))]
        self.benchmark = benchmark
        self.train = tuple(task for task, out in zip(train, is_held_out, strict=True) if not out)
        self.validation = tuple(task for task, out in zip(train, is_held_out, strict=True) if out)
        self.test = tuple(_read(task) for task in official.test_tasks)

    def descriptors(self) -> Tensor | None:
        """Start and goal of each train task in ML1; None for benchmarks with several environments."""
        if self.benchmark != "ML1":
            return None
        return torch.tensor([task.vector for task in self.train])

    def describe(self, index: int) -> str:
        return f"{self[index].env} {' '.join(f'{number:.3f}' for number in self[index].vector)}"

    def record(self, index: int) -> Any:
        return {"env": self[index].env, "vector": list(self[index].vector)}

    def kind(self, index: int) -> str:
        return "" if self.benchmark == "ML1" else self[index].env


def _benchmark(benchmark: str, env: str | None, seed: int) -> Any:
    """Make a benchmark of Meta-World.

    Raises:
        ValueError: The benchmark does not exist, or there is no such environment.
    """
    import metaworld

    several: dict[str, Any] = {"ML10": metaworld.ML10, "ML25": metaworld.ML25, "ML45": metaworld.ML45}
    if benchmark in several:
        if env is not None:
            raise ValueError(f"env must be null for {benchmark}, which has several environments, got {env!r}")
        return several[benchmark](seed=seed)
    if benchmark != "ML1":
        raise ValueError(f"benchmark must be one of ML1, {', '.join(several)}, got {benchmark!r}")
    names: Sequence[str] = metaworld.ML1.ENV_NAMES
    if env not in names:
        raise ValueError(f"env must be an environment of Meta-World such as reach-v3, got {env!r}")
    return metaworld.ML1(env, seed=seed)


def _read(task: metaworld.Task) -> MetaWorldTask:
    """Read the numbers of a task that Meta-World has just made in this process."""
    vector = pickle.loads(task.data)["rand_vec"]
    return MetaWorldTask(task.env_name, tuple(float(number) for number in vector), task)
