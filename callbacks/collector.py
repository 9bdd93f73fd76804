"""Base class of collectors: it assigns tasks to arenas, counts the played episodes, and has a state for checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.agents.agent import logs_this_update
from pearl_lightning.callbacks.per_agent import PerAgent
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.data import env_data
from pearl_lightning.experience.progress import Progress
from pearl_lightning.experience.replay import nothing_collected
from pearl_lightning.randomness import make_generator, restore_generator


class ProcessCallback(Callback, ABC):
    """A callback with a separate state in each process.

    ``ReplayCheckpoint`` saves the states of all processes, because Lightning saves only that of the first one.
    """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state of this process: tensors, numbers, strings, and lists and dicts of them."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the result of ``state``. This is called before anything is collected."""


class Collector(PerAgent, ProcessCallback):
    """Plays train tasks in batched rollouts of all arenas and stores the episodes for the updates.

    Args:
        tasks_per_iteration: Number of train tasks per iteration; it must divide the number of arenas.

    Raises:
        ValueError: The number of tasks is below 1.
    """

    def __init__(self, tasks_per_iteration: int) -> None:
        if tasks_per_iteration < 1:
            raise ValueError(f"tasks_per_iteration must be at least 1, got {tasks_per_iteration}")
        self.tasks_per_iteration = tasks_per_iteration
        self.start_afresh()

    def start_afresh(self) -> None:
        self.iterations = 0  # iterations of this collector; Progress counts those of all collectors
        self.collected_at = 0  # update of the last iteration
        self.generator: torch.Generator | None = None  # generator of tasks, z and the policy's samples
        self.queue = torch.zeros(0, dtype=torch.long)  # train tasks to be played before the next shuffle

    @abstractmethod
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run one iteration. Only whole episodes are stored; a lost episode that cannot be repeated ends the run."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        self.check(trainer, pl_module)
        if self.generator is None:
            self.generator = make_generator("collector", trainer.global_rank)

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that data module and agent suit the collector, before anything is played.

        Raises:
            TypeError: The data module or the agent is of the wrong class.
            ValueError: The tasks cannot be distributed evenly over the arenas.
        """
        env = env_data(trainer).env
        arenas, train_tasks = env.arenas, len(env.tasks.train)
        if arenas % self.tasks_per_iteration or self.tasks_per_iteration > train_tasks:
            raise ValueError(
                f"tasks_per_iteration must divide the {arenas} arenas and be at most the {train_tasks} train tasks, "
                f"got {self.tasks_per_iteration}"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if logs_this_update(trainer):
            pl_module.log("env_steps", float(env_data(trainer).progress.env_steps))

    def give_tasks(self, env: MetaEnv) -> None:
        """Assign the next train tasks to equal numbers of arenas. Every task is played once before any is repeated."""
        train_tasks = len(env.tasks.train)
        while len(self.queue) < self.tasks_per_iteration:
            shuffled = torch.randperm(train_tasks, generator=self.generator)
            is_queued = torch.isin(shuffled, self.queue)  # last, so that no iteration plays a task twice
            self.queue = torch.cat([self.queue, shuffled[~is_queued], shuffled[is_queued]])
        tasks, self.queue = self.queue[: self.tasks_per_iteration], self.queue[self.tasks_per_iteration :]
        env.set_tasks(tasks.repeat_interleave(env.arenas // self.tasks_per_iteration))

    @staticmethod
    def count(progress: Progress, episode: TensorDict) -> float:
        """Add an episode of all arenas to the progress; return the mean team return."""
        arenas, _, agents = episode["reward"].shape
        env_steps = int(episode["played"].sum())
        progress.episodes += arenas
        progress.env_steps += env_steps
        progress.transitions += env_steps * agents
        return float(episode["reward"].sum(dim=(1, 2)).mean())

    def end_iteration(self, trainer: Trainer, returns: dict[str, float]) -> None:
        """Count and log an iteration.

        Args:
            trainer: The trainer.
            returns: Mean return of each kind of episode.
        """
        data = env_data(trainer)
        progress = data.progress
        self.iterations += 1
        self.collected_at = trainer.global_step
        progress.iterations += 1
        progress.returns = returns
        metrics = {
            **{f"collect/return_{name}": value for name, value in returns.items()},
            **{f"collect/{name}": float(getattr(progress, name)) for name in ("env_steps", "episodes", "iterations")},
            **{f"collect/{name}": float(v) for name, v in data.env.report().items() if isinstance(v, int)},
            "env_steps": float(progress.env_steps),
        }
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=max(trainer.global_step - 1, 0))

    def state(self) -> dict[str, Any]:
        assert self.generator is not None
        return {
            "iterations": self.iterations,
            "collected_at": self.collected_at,
            "queue": self.queue,
            "generator": self.generator.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        for name in ("iterations", "collected_at", "queue"):
            setattr(self, name, state[name])
        assert self.generator is not None
        restore_generator(self.generator, state["generator"], "the collector")


def require_experience(trainer: Trainer) -> None:
    """Check that there is a collector, or that the store has been filled by hand.

    Raises:
        ValueError: The store is empty, and there is no collector.
    """
    data = env_data(trainer)
    has_collector = any(isinstance(callback, Collector) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    if not has_collector and (data.store is None or len(data.store) == 0):
        raise ValueError(nothing_collected(data.collector))


def process_callbacks(trainer: Trainer) -> list[ProcessCallback]:
    """Return the trainer's callbacks with a state per process, in order."""
    return [c for c in cast(list[Callback], trainer.callbacks) if isinstance(c, ProcessCallback)]  # type: ignore[attr-defined]
