"""Plays train tasks and stores the episodes, every so many updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.data import meta_batches
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.pearl import PEARL
from pearl_lightning.randomness import make_generator
from pearl_lightning.rollout import adaptation_episodes, uniform_episodes

COUNTERS = ("env_steps", "episodes", "transitions", "iterations", "collected_at")
"""What a collector counts, and a checkpoint keeps."""


class EpisodeCollector(Callback):
    """Add fresh episodes of train tasks to the replay every ``every_n_updates`` updates.

    One batched rollout serves all tasks of an iteration: the arenas are shared out evenly. Each arena plays prior
    episodes (z from the prior each time), then posterior episodes (z from the posterior given its episodes so far),
    both marked as context; then RL-only episodes (z from that posterior, not context). See Rakelly et al. 2019, sec.
    4.3 and algorithm 1.

    Updates are counted rather than epochs: a run resumed from a checkpoint taken on an epoch's last batch is not sent
    the next epoch's start hook.

    Args:
        every_n_updates: Updates between two iterations.
        tasks_per_iteration: Train tasks played in an iteration; the arenas must be a multiple of it.
        initial_iterations: Iterations before the first update.
        initial_action_steps: Play those with uniform actions, each held for so many steps; the untrained agent plays
            when left out. It dithers on the spot: where a reward must be searched, held actions find it.
        prior_episodes: Episodes per arena with z from the prior.
        posterior_episodes: Episodes per arena with z from the posterior, taken in as context.
        rl_episodes: Episodes per arena with z from the posterior that the encoder never sees.
    """

    def __init__(
        self,
        every_n_updates: int = 1000,
        tasks_per_iteration: int = 16,
        initial_iterations: int = 1,
        initial_action_steps: int | None = None,
        prior_episodes: int = 1,
        posterior_episodes: int = 1,
        rl_episodes: int = 1,
    ) -> None:
        for name, value in (
            ("every_n_updates", every_n_updates),
            ("tasks_per_iteration", tasks_per_iteration),
            ("initial_iterations", initial_iterations),
            ("initial_action_steps", 1 if initial_action_steps is None else initial_action_steps),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, value in (
            ("prior_episodes", prior_episodes),
            ("posterior_episodes", posterior_episodes),
            ("rl_episodes", rl_episodes),
        ):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if prior_episodes + posterior_episodes < 1:
            raise ValueError("prior_episodes + posterior_episodes must be at least 1: the encoder needs context")
        self.every_n_updates, self.tasks_per_iteration = every_n_updates, tasks_per_iteration
        self.initial_iterations, self.initial_action_steps = initial_iterations, initial_action_steps
        self.prior_episodes, self.posterior_episodes, self.rl_episodes = prior_episodes, posterior_episodes, rl_episodes
        self.env_steps = self.episodes = self.transitions = self.iterations = 0
        self.collected_at = 0  # update of the last iteration
        self.generator: torch.Generator | None = None  # draws tasks, z and the policy's samples
        self.queue = torch.zeros(0, dtype=torch.long)  # train tasks still to be played before the next shuffle
        self.metrics: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self.generator is None:
            self.generator = make_generator("collector", trainer.global_rank)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        arenas, train_tasks = meta_batches(trainer).env.arenas, len(meta_batches(trainer).env.tasks.train)
        if arenas % self.tasks_per_iteration or self.tasks_per_iteration > train_tasks:
            raise ValueError(
                f"tasks_per_iteration must divide the {arenas} arenas and be at most the {train_tasks} train tasks, "
                f"got {self.tasks_per_iteration}"
            )
        if self.iterations == 0:
            for _ in range(self.initial_iterations):
                self.collect(trainer, pl_module)
        elif trainer.global_step % self.every_n_updates == 0 and self.collected_at < trainer.global_step:
            self.collect(trainer, pl_module)  # the run had ended here, and now goes on

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_updates == 0 and trainer.global_step != trainer.max_steps:
            self.collect(trainer, pl_module)
        pl_module.log("env_steps", float(self.env_steps))
        age = meta_batches(trainer).diagnostics.get("age")
        if age is not None:
            pl_module.log("train/context_age", age)

    @torch.no_grad()
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One iteration: every round is stored whole or, where the world lost it for good, ends the run."""
        data, agent = meta_batches(trainer), cast(PEARL, pl_module)
        env, replay, update = data.env, data.replay, trainer.global_step
        assert replay is not None
        tasks = self._next_tasks(len(env.tasks.train))
        env.set_tasks(tasks.repeat_interleave(env.arenas // self.tasks_per_iteration))
        returns: dict[str, list[float]] = {"prior": [], "posterior": [], "uniform": []}
        for kind, is_context, episode in self._episodes(env, agent):
            returns[kind].append(self._store(replay, episode, is_context, update))
        self.iterations += 1
        self.collected_at = update
        self.metrics = {f"collect/return_{name}": sum(r) / len(r) for name, r in returns.items() if r}
        self.metrics |= {
            "collect/env_steps": float(self.env_steps),
            "collect/episodes": float(self.episodes),
            "collect/iterations": float(self.iterations),
            **{f"collect/{name}": float(v) for name, v in env.report().items() if isinstance(v, int)},
        }
        for logger in trainer.loggers:
            logger.log_metrics(self.metrics | {"env_steps": float(self.env_steps)}, step=max(update - 1, 0))

    def _episodes(self, env: MetaEnv, agent: PEARL) -> Iterator[tuple[str, bool, TensorDict]]:
        """The episodes of an iteration: who chose the actions, whether the encoder may read it, the episode."""
        if self.iterations < self.initial_iterations and self.initial_action_steps is not None:
            for count, is_context in (
                (self.prior_episodes + self.posterior_episodes, True),
                (self.rl_episodes, False),
            ):
                for episode in uniform_episodes(env, count, self.initial_action_steps, generator=self.generator):
                    yield "uniform", is_context, episode
            return
        belief = agent.prior(env.arenas)
        for _ in range(self.prior_episodes):
            for episode in adaptation_episodes(env, agent, 1, generator=self.generator):
                belief.update(agent.context_features(episode[:, :-1].unsqueeze(1)))
                yield "prior", True, episode
        for count, is_context in ((self.posterior_episodes, True), (self.rl_episodes, False)):
            for episode in adaptation_episodes(
                env, agent, count, generator=self.generator, belief=belief, update=is_context
            ):
                yield "posterior", is_context, episode

    def _store(self, replay: Any, episode: Any, is_context: bool, update: int) -> float:
        replay.extend(episode, is_context, update)
        arenas, rows, agents = episode["reward"].shape
        self.episodes += arenas
        self.env_steps += arenas * (rows - 1)
        self.transitions += arenas * (rows - 1) * agents
        return float(episode["reward"].sum(dim=(1, 2)).mean())

    def _next_tasks(self, train_tasks: int) -> torch.Tensor:
        """Every train task once before any comes again, in a random order."""
        while len(self.queue) < self.tasks_per_iteration:
            shuffled = torch.randperm(train_tasks, generator=self.generator)
            again = torch.isin(shuffled, self.queue)  # these come last, so that no iteration plays a task twice
            self.queue = torch.cat([self.queue, shuffled[~again], shuffled[again]])
        tasks, self.queue = self.queue[: self.tasks_per_iteration], self.queue[self.tasks_per_iteration :]
        return tasks

    def state(self) -> dict[str, Any]:
        """Counters and random state of this process, for the checkpoint's side directory."""
        assert self.generator is not None
        counters = {name: getattr(self, name) for name in COUNTERS}
        return counters | {"metrics": self.metrics, "queue": self.queue, "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""
        for name in (*COUNTERS, "metrics", "queue"):
            setattr(self, name, state[name])
        assert self.generator is not None
        self.generator.set_state(state["generator"])


def collectors(trainer: Trainer) -> list[EpisodeCollector]:
    """The trainer's collectors, in order."""
    return [c for c in cast(list[Callback], trainer.callbacks) if isinstance(c, EpisodeCollector)]  # type: ignore[attr-defined]
