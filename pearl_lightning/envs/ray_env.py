"""RayEnv: a world whose arenas are spread over the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.envs.ray_workers import RayWorkers

_MAX_LOSSES_IN_A_ROW = 10  # lost episodes without one finished, after which nothing is started any more


class RayEnv(MetaEnv):
    """A world spread over workers, each of which plays its own arenas in a process of Ray; seen from here it is one.

    Arenas, tasks and observations are those of the workers one after another. At each begin every worker's world is
    seeded with a number drawn here: the same seed gives the same episodes whatever the machines, and a checkpoint
    needs no worker's state. Workers start at the first reset. One that dies, or does not answer in time, loses the
    episode for all and is started anew by the next reset.

    Args:
        env: Makes one worker's world; in a config it is written like any other env. One is made here, too, to tell its
            sizes and tasks, but never started.
        workers: So many worlds, at least 1.
        address: Of a Ray cluster: ``auto`` (this machine belongs to it), ``HOST:PORT`` or ``ray://HOST:PORT``; a Ray of
            this machine alone is started when left out.
        cpus: That Ray sets aside for a worker, at least 0.
        gpus: That Ray sets aside for a worker and lets it see, at least 0.
        start_timeout: Seconds within which the workers must have started, and as much again within which an episode
            must have begun; above what a world itself waits for.
        step_timeout: Seconds within which a step must be played; above what a world itself waits for.

    Raises:
        ValueError: A setting outside its range.
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
        for name, share in (("cpus", cpus), ("gpus", gpus)):
            if not share >= 0:
                raise ValueError(f"{name} must be at least 0, got {share}")
        for name, seconds in (("start_timeout", start_timeout), ("step_timeout", step_timeout)):
            if not seconds > 0:
                raise ValueError(f"{name} must be above 0 s, got {seconds}")
        if find_spec("ray") is None:
            raise RuntimeError("RayEnv needs Ray: pip install 'pearl-lightning[ray]'")
        sample: Any = env if isinstance(env, MetaEnv) or not callable(env) else env()
        if sample is env or not isinstance(sample, MetaEnv):
            raise ValueError(f"env must be a function that makes a MetaEnv, got {type(sample).__name__}")
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
            tells_task=sample.tells_task,
        )
        sample.close(raise_if_closed=False)
        self.workers = RayWorkers(_without_parser(env), workers, address, cpus, gpus, start_timeout)
        self.start_timeout, self.step_timeout = start_timeout, step_timeout
        self.restarts = 0  # of workers, and of worlds in those that are gone
        self._arenas_each = sample.arenas
        self._reports: list[dict[str, str | int]] = [{} for _ in range(workers)]  # as each last told
        self._statistics: dict[str, Tensor] = {}
        self._is_running = False  # an episode is
        self._losses_in_a_row = 0

    def begin(self, tasks: list[Any]) -> Tensor:
        self._is_running = False
        if self._losses_in_a_row >= _MAX_LOSSES_IN_A_ROW:
            raise RuntimeError(
                f"{self._losses_in_a_row} episodes in a row were lost on the workers: see what breaks there"
            )
        for worker in self.workers.start():
            report, self._reports[worker] = self._reports[worker], {}
            self.restarts += int(report.get("restarts", 0)) + (self._losses_in_a_row > 0)
        self.is_closed = False  # so that a forgotten environment ends its workers
        seeds = torch.randint(2**31 - 1, (len(self._reports),), generator=self.generator).tolist()
        shares = [tasks[first : first + self._arenas_each] for first in range(0, len(tasks), self._arenas_each)]
        observations = self._ask("begin", list(zip(shares, seeds, strict=True)), self.start_timeout)
        self._is_running = True
        return torch.from_numpy(np.concatenate(observations))

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if not self._is_running:
            raise RuntimeError("no episode is running: reset the environment first")
        self._is_running = False  # unless every worker plays its part
        shares = np.split(action.detach().cpu().numpy(), len(self._reports))
        results, endings = zip(*self._ask("advance", [(share,) for share in shares], self.step_timeout), strict=True)
        merged: dict[str, Tensor | bool] = _concatenated(results)
        if endings[0] is None:
            self._is_running = True
            return merged
        statistics, reports = zip(*endings, strict=True)
        self._statistics, self._reports = _concatenated(statistics), list(reports)
        self._losses_in_a_row = 0
        return merged

    def episode_statistics(self) -> dict[str, Tensor]:
        return dict(self._statistics)

    def report(self) -> dict[str, str | int]:
        """Where the workers are; of what their worlds report, the sums of numbers and every different text."""
        machines = len(set(self.workers.machines))
        merged: dict[str, Any] = {"workers": f"{len(self._reports)} on {machines} machine{'s' * (machines > 1)}"}
        for name in dict.fromkeys(name for report in self._reports for name in report):
            values = [report[name] for report in self._reports if name in report]
            numbers = [value for value in values if isinstance(value, int)]
            merged[name] = sum(numbers) if numbers else ", ".join(dict.fromkeys(map(str, values)))
        return merged | {"restarts": merged.get("restarts", 0) + self.restarts}

    def close(self, *, raise_if_closed: bool = True) -> None:
        """End the workers, and Ray where it was started here; closing again does nothing. A reset starts anew."""
        super().close(raise_if_closed=raise_if_closed)
        self._is_running = False
        self.workers.close()

    def _ask(self, method: str, arguments: list[tuple[Any, ...]], timeout: float) -> list[Any]:
        try:
            return self.workers.ask(method, arguments, timeout)
        except EpisodeLost as error:
            self._losses_in_a_row += 1
            raise EpisodeLost(f"the episode is lost: {error}") from error


def _without_parser(make_env: Callable[[], MetaEnv]) -> Callable[[], MetaEnv]:
    """The class and arguments that a config names, of a function in which jsonargparse put its parser, too.

    A parser cannot be sent to other processes.
    """
    if isinstance(make_env, partial) and make_env.args:
        world = make_env.args[-1]
        if isinstance(world, type) and issubclass(world, MetaEnv):
            return partial(world, **make_env.keywords)
    return make_env


def _concatenated(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Arrays of the workers, one after another, as tensors; of anything else the first worker's."""
    return {
        name: torch.from_numpy(np.concatenate([part[name] for part in parts]))
        if isinstance(value, np.ndarray)
        else value
        for name, value in parts[0].items()
    }
