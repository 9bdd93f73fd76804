"""Plays train tasks and stores the episodes, every so many updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.agent import Agent
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.data import meta_batches
from pearl_lightning.envs.meta_env import Demonstrator, MetaEnv
from pearl_lightning.rollout import adaptation_episodes, demonstrated_episodes, uniform_episodes


class EpisodeCollector(Collector):
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
        demonstrated_episodes: Episodes per arena that the demonstrator plays; the encoder never sees them. The critics
            learn from them what an agent that explores from its own play would not come upon (Ball et al. 2023).
        demonstrator: Who plays these, seeing what the learner sees.
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
        demonstrated_episodes: int = 0,
        demonstrator: Demonstrator | None = None,
    ) -> None:
        super().__init__(tasks_per_iteration)
        for name, value in (
            ("every_n_updates", every_n_updates),
            ("initial_iterations", initial_iterations),
            ("initial_action_steps", 1 if initial_action_steps is None else initial_action_steps),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, value in (
            ("prior_episodes", prior_episodes),
            ("posterior_episodes", posterior_episodes),
            ("rl_episodes", rl_episodes),
            ("demonstrated_episodes", demonstrated_episodes),
        ):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if prior_episodes + posterior_episodes < 1:
            raise ValueError("prior_episodes + posterior_episodes must be at least 1: the encoder needs context")
        if (demonstrator is None) != (demonstrated_episodes == 0):
            raise ValueError(
                f"demonstrated_episodes must be above 0 with a demonstrator and 0 without, got {demonstrated_episodes}"
            )
        if demonstrator is not None and demonstrator.follows:
            raise ValueError(
                f"demonstrator must not have to be told what every step gave, got {type(demonstrator).__name__}"
            )
        self.every_n_updates = every_n_updates
        self.demonstrated_episodes, self.demonstrator = demonstrated_episodes, demonstrator
        self.initial_iterations, self.initial_action_steps = initial_iterations, initial_action_steps
        self.prior_episodes, self.posterior_episodes, self.rl_episodes = prior_episodes, posterior_episodes, rl_episodes

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
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
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        age = meta_batches(trainer).diagnostics.get("age")
        if age is not None:
            pl_module.log("train/context_age", age)

    @timed
    @torch.no_grad()
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One iteration: every round is stored whole or, where the world lost it for good, ends the run."""
        data, update = meta_batches(trainer), trainer.global_step
        self.give_tasks(data.env)
        returns: dict[str, list[float]] = {}
        for kind, is_context, episode in self._episodes(data.env, cast(Agent, pl_module)):
            data.replay.extend(episode, is_context, update)
            returns.setdefault(kind, []).append(self.count(episode))
        self.end_iteration(trainer, {name: sum(each) / len(each) for name, each in returns.items()})

    def _episodes(self, env: MetaEnv, agent: Agent) -> Iterator[tuple[str, bool, TensorDict]]:
        """The episodes of an iteration: who chose the actions, whether the encoder may read it, the episode."""
        yield from self._own_episodes(env, agent)
        if self.demonstrator is not None:
            assert self.generator is not None
            for episode in demonstrated_episodes(
                env, self.demonstrator, self.demonstrated_episodes, generator=self.generator
            ):
                yield "demonstrated", False, episode

    def _own_episodes(self, env: MetaEnv, agent: Agent) -> Iterator[tuple[str, bool, TensorDict]]:
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
                belief.update(agent.context_features(episode.unsqueeze(1)))
                yield "prior", True, episode
        for count, is_context in ((self.posterior_episodes, True), (self.rl_episodes, False)):
            for episode in adaptation_episodes(
                env, agent, count, generator=self.generator, belief=belief, update=is_context
            ):
                yield "posterior", is_context, episode
