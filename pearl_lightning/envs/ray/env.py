"""RayEnv: an environment with arenas on several machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.envs.ray.workers import RayWorkers

_MAX_LOSSES_IN_A_ROW = 10  # lost episodes without a finished one, after which no worker is started again


class RayEnv(MetaEnv):
    """Distributes an environment over workers; each worker plays its arenas in a Ray process.

    The arenas, tasks and observations of the workers are concatenated. At each reset every worker's environment is
    seeded with a number that is drawn here. The same seed therefore gives the same episodes on any machines, and a
    checkpoint needs no state of the workers. Workers start at the first reset. If a worker dies or does not answer in
    time, the episode is lost in all arenas and the next reset starts a new worker.

    Args:
        env: Function that creates the environment of one worker. In a config it is written like any other environment.
            One environment is also created in this process to read its sizes and tasks, but it is never started.
        workers: Number of workers, at least 1.
        address: Address of a Ray cluster: ``auto`` (this machine belongs to it), ``HOST:PORT`` or ``ray://HOST:PORT``.
            By default a local Ray instance is started.
        cpus: Number of CPUs that Ray reserves for a worker, at least 0.
        gpus: Number of GPUs that Ray reserves for a worker and makes visible to it, at least 0.
        start_timeout: Time limit in seconds for the start of the workers, and again for the start of an episode. It
            must be larger than the environment's own time limits.
        step_timeout: Time limit in seconds for a step. It must be larger than the environment's own time limits.

    Raises:
        ValueError: A setting is outside its range.
        RuntimeError: Ray is not installed.
    """

    def __init__(
        self,
        *,
        env: Callable[[], MetaEnv],
        workers: int,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        start_timeout: float = 180.0,
        step_timeout: float = 90.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        _check_resources(cpus=cpus, gpus=gpus)
        _check_timeouts(start_timeout=start_timeout, step_timeout=step_timeout)
        sample = _sample(env)
        super().__init__(
            arenas=workers * sample.arenas,
            tasks=sample.tasks,
            action_space=sample.action_space,
            agents=sample.agents,
            features=sample.features,
            horizon=sample.horizon,
            events=sample.events,
            has_training_reward=sample.has_training_reward,
            has_outcome=sample.has_outcome,
            observes_task=sample.observes_task,
        )
        sample.close(raise_if_closed=False)
        self.workers = RayWorkers(_without_parser(env), workers, address, cpus, gpus, start_timeout)
        self.start_timeout, self.step_timeout = start_timeout, step_timeout
        self.restarts = 0  # restarts of workers, and of environments in workers that are gone
        self._arenas_each = sample.arenas
        self._reports: list[dict[str, str | int]] = [{} for _ in range(workers)]  # last report of each worker
        self._statistics: dict[str, Tensor] = {}
        self._is_running = False  # whether an episode is running
        self._losses_in_a_row = 0

    def prepare(self) -> float:
        """Start the workers and prepare their environments; return the seconds of the slowest worker."""
        self.workers.start()
        self.is_closed = False  # garbage collection of the environment then stops its workers
        try:
            return float(max(self.workers.ask("prepare", [()] * len(self._reports), self.start_timeout)))
        except EpisodeLost:  # the first episode starts missing workers
            return 0.0

    def begin(self, tasks: list[Any]) -> Tensor:
        self._is_running = False
        if self._losses_in_a_row >= _MAX_LOSSES_IN_A_ROW:
            raise RuntimeError(
                f"{self._losses_in_a_row} episodes in a row were lost on the workers: check the errors there"
            )
        for worker in self.workers.start():
            report, self._reports[worker] = self._reports[worker], {}
            self.restarts += int(report.get("restarts", 0)) + (self._losses_in_a_row > 0)
        self.is_closed = False  # garbage collection of the environment then stops its workers
        seeds = torch.randint(2**31 - 1, (len(self._reports),), generator=self.generator).tolist()
        shares = [tasks[first : first + self._arenas_each] for first in range(0, len(tasks), self._arenas_each)]
        observations = self._ask("begin", list(zip(shares, seeds, strict=True)), self.start_timeout)
        self._is_running = True
        return torch.from_numpy(np.concatenate(observations))

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if not self._is_running:
            raise RuntimeError("no episode is running: reset the environment first")
        self._is_running = False  # set to True again if all workers answer
        shares = np.split(action.detach().cpu().numpy(), len(self._reports))
        results, endings = zip(*self._ask("advance", [(share,) for share in shares], self.step_timeout), strict=True)
        merged: dict[str, Tensor | bool] = _concatenated(results, self._arenas_each, 0.0)
        if any(ending is None for ending in endings):
            self._is_running = True
            return merged
        statistics, reports = zip(*endings, strict=True)
        self._statistics, self._reports = _concatenated(statistics, self._arenas_each, np.nan), list(reports)
        self._losses_in_a_row = 0
        return merged

    def episode_statistics(self) -> dict[str, Tensor]:
        return dict(self._statistics)

    def report(self) -> dict[str, str | int]:
        """Number of workers and machines, and the merged reports of their environments: numbers are summed."""
        machines = len(set(self.workers.machines))
        merged: dict[str, Any] = {"workers": f"{len(self._reports)} on {machines} machine{'s' * (machines > 1)}"}
        for name in dict.fromkeys(name for report in self._reports for name in report):
            values = [report[name] for report in self._reports if name in report]
            numbers = [value for value in values if isinstance(value, int)]
            merged[name] = sum(numbers) if numbers else ", ".join(dict.fromkeys(map(str, values)))
        return merged | {"restarts": merged.get("restarts", 0) + self.restarts}

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the workers, and Ray if it was started here. A second call does nothing; a reset starts them again."""
        super().close(raise_if_closed=raise_if_closed)
        self._is_running = False
        self.workers.close()

    def _ask(self, method: str, arguments: list[tuple[Any, ...]], timeout: float) -> list[Any]:
        try:
            return self.workers.ask(method, arguments, timeout)
        except EpisodeLost as error:
            self._losses_in_a_row += 1
            raise EpisodeLost(f"the episode is lost: {error}") from error


def _check_resources(**shares: float) -> None:
    for name, share in shares.items():
        if not share >= 0:
            raise ValueError(f"{name} must be at least 0, got {share}")


def _check_timeouts(**timeouts: float) -> None:
    for name, seconds in timeouts.items():
        if not seconds > 0:
            raise ValueError(f"{name} must be above 0 s, got {seconds}")


def _sample(make_env: Callable[[], MetaEnv]) -> MetaEnv:
    """Create an environment of one worker in this process, to read its sizes and tasks.

    Raises:
        RuntimeError: Ray is not installed.
        ValueError: ``make_env`` is not a function that returns a MetaEnv.
    """
    if find_spec("ray") is None:
        raise RuntimeError("RayEnv needs Ray: pip install 'pearl-lightning[ray]'")
    sample: Any = make_env if isinstance(make_env, MetaEnv) or not callable(make_env) else make_env()
    if sample is make_env or not isinstance(sample, MetaEnv):
        raise ValueError(f"env must be a function that returns a MetaEnv, got {type(sample).__name__}")
    return sample


def _without_parser(make_env: Callable[[], MetaEnv]) -> Callable[[], MetaEnv]:
    """Remove jsonargparse's parser from a function that it has created from a config.

    The class and arguments of the environment remain. A parser cannot be sent to other processes.
    """
    if isinstance(make_env, partial) and make_env.args:
        env_class = make_env.args[-1]
        if isinstance(env_class, type) and issubclass(env_class, MetaEnv):
            return partial(env_class, **make_env.keywords)
    return make_env


def _concatenated(parts: Sequence[dict[str, Any]], arenas: int, missing: float) -> dict[str, Any]:
    """Concatenate the workers' arrays to tensors; all other values are those of the first worker that has them.

    Args:
        parts: Values of each worker by name. A worker may lack some, for example before its arenas end.
        arenas: Number of arenas of a worker.
        missing: Number in place of an array that a worker lacks.
    """
    joined: dict[str, Any] = {}
    for name, value in {name: value for part in reversed(parts) for name, value in part.items()}.items():
        if isinstance(value, np.ndarray):
            nothing = np.full((arenas, *value.shape[1:]), missing, value.dtype)
            joined[name] = torch.from_numpy(np.concatenate([part.get(name, nothing) for part in parts]))
        else:
            joined[name] = value
    return joined
