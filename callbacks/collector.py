"""What collectors share: they give arenas train tasks, count what was played, and are saved in checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.callbacks.timing import Timed
from pearl_lightning.data import world_data
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.randomness import make_generator

COUNTERS = ("env_steps", "episodes", "transitions", "iterations", "collected_at")
"""What a collector counts, and a checkpoint keeps."""


class ProcessCallback(Callback, ABC):
    """A callback whose state is each process' own: ``ReplayCheckpoint`` keeps it; Lightning keeps the first's only."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Of this process: tensors, numbers, strings, and lists and dicts of them."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave, before anything is collected."""


class Collector(Timed, ProcessCallback):
    """Plays train tasks for the updates to learn from, one batched rollout of all arenas at a time.

    Args:
        tasks_per_iteration: Train tasks played in an iteration, in as many arenas each; it must divide their number.
    """

    def __init__(self, tasks_per_iteration: int) -> None:
        if tasks_per_iteration < 1:
            raise ValueError(f"tasks_per_iteration must be at least 1, got {tasks_per_iteration}")
        self.tasks_per_iteration = tasks_per_iteration
        self.env_steps = self.episodes = self.transitions = self.iterations = 0
        self.collected_at = 0  # update of the last iteration
        self.generator: torch.Generator | None = None  # draws tasks, z and the policy's samples
        self.queue = torch.zeros(0, dtype=torch.long)  # train tasks still to be played before the next shuffle
        self.metrics: dict[str, float] = {}

    @abstractmethod
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One iteration: every round is stored whole or, where the world lost it for good, ends the run; ``timed``."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self.generator is None:
            self.generator = make_generator("collector", trainer.global_rank)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        env = world_data(trainer).env
        arenas, train_tasks = env.arenas, len(env.tasks.train)
        if arenas % self.tasks_per_iteration or self.tasks_per_iteration > train_tasks:
            raise ValueError(
                f"tasks_per_iteration must divide the {arenas} arenas and be at most the {train_tasks} train tasks, "
                f"got {self.tasks_per_iteration}"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.log("env_steps", float(self.env_steps))

    def give_tasks(self, env: MetaEnv) -> None:
        """The next train tasks, each to as many arenas; every one comes once before any comes again."""
        train_tasks = len(env.tasks.train)
        while len(self.queue) < self.tasks_per_iteration:
            shuffled = torch.randperm(train_tasks, generator=self.generator)
            again = torch.isin(shuffled, self.queue)  # these come last, so that no iteration plays a task twice
            self.queue = torch.cat([self.queue, shuffled[~again], shuffled[again]])
        tasks, self.queue = self.queue[: self.tasks_per_iteration], self.queue[self.tasks_per_iteration :]
        env.set_tasks(tasks.repeat_interleave(env.arenas // self.tasks_per_iteration))

    def count(self, episode: TensorDict) -> float:
        """Take an episode of all arenas into the counters; returns the team's mean return."""
        arenas, rows, agents = episode["reward"].shape
        self.episodes += arenas
        self.env_steps += arenas * (rows - 1)
        self.transitions += arenas * (rows - 1) * agents
        return float(episode["reward"].sum(dim=(1, 2)).mean())

    def end_iteration(self, trainer: Trainer, returns: dict[str, float]) -> None:
        """Count the iteration and log it, with the mean return of each kind of episode."""
        self.iterations += 1
        self.collected_at = trainer.global_step
        report = world_data(trainer).env.report()
        self.metrics = {f"collect/return_{name}": value for name, value in returns.items()}
        self.metrics |= {
            "collect/env_steps": float(self.env_steps),
            "collect/episodes": float(self.episodes),
            "collect/iterations": float(self.iterations),
            **{f"collect/{name}": float(v) for name, v in report.items() if isinstance(v, int)},
        }
        for logger in trainer.loggers:
            logger.log_metrics(
                self.metrics | {"env_steps": float(self.env_steps)}, step=max(trainer.global_step - 1, 0)
            )

    def state(self) -> dict[str, Any]:
        assert self.generator is not None
        counters = {name: getattr(self, name) for name in COUNTERS}
        return counters | {"metrics": self.metrics, "queue": self.queue, "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name in (*COUNTERS, "metrics", "queue"):
            setattr(self, name, state[name])
        assert self.generator is not None
        self.generator.set_state(state["generator"])


def process_callbacks(trainer: Trainer) -> list[ProcessCallback]:
    """The trainer's callbacks whose state is each process' own, in order."""
    return [c for c in cast(list[Callback], trainer.callbacks) if isinstance(c, ProcessCallback)]  # type: ignore[attr-defined]


def collectors(trainer: Trainer) -> list[Collector]:
    """The trainer's collectors, in order."""
    return [c for c in cast(list[Callback], trainer.callbacks) if isinstance(c, Collector)]  # type: ignore[attr-defined]
