"""Callback that collects episodes for off-policy agents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.agents.agent import Agent, logs_this_update
from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.data import meta_batches
from pearl_lightning.experience.player import DemonstratorPlayer, Player, UniformPlayer
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.steps import steps_of


class EpisodeCollector(Collector):
    """Adds new episodes of train tasks to the replay every ``every_n_updates`` updates.

    In an iteration, each task is played in the same number of arenas. Each arena first plays prior episodes (z from the
    prior each time) and posterior episodes (z from the posterior given the arena's episodes so far). These are the
    context. It then plays RL episodes (z from that posterior), which the encoder does not read. See Rakelly et al.
    2019, sec. 4.3 and algorithm 1.

    The collector counts updates instead of epochs, because a run that is resumed from a checkpoint of an epoch's last
    batch does not get the next epoch's start hook.

    Args:
        every_n_updates: Number of updates between two iterations, at least 1.
        tasks_per_iteration: Number of train tasks per iteration; it must divide the number of arenas.
        initial_iterations: Number of iterations before the first update, at least 1.
        initial_action_steps: Number of steps for which uniform actions are repeated in the initial iterations. None to
            play the untrained agent instead, which hardly moves. Repeated actions find rewards that are far away.
        prior_episodes: Number of context episodes per arena with z from the prior.
        posterior_episodes: Number of context episodes per arena with z from the posterior.
        rl_episodes: Number of episodes per arena with z from the posterior that are not context.
        demonstrated_episodes: Number of episodes per arena that the demonstrator plays; they are not context. The
            critics learn from them behaviour that the agent would not find by its own exploration (Ball et al. 2023).
        demonstrator: Player of the demonstrated episodes; it gets the same observations as the agent.

    Raises:
        ValueError: A setting is out of its range.
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
        hold = 1 if initial_action_steps is None else initial_action_steps
        _check_at_least(
            1, every_n_updates=every_n_updates, initial_iterations=initial_iterations, initial_action_steps=hold
        )
        _check_at_least(
            0,
            prior_episodes=prior_episodes,
            posterior_episodes=posterior_episodes,
            rl_episodes=rl_episodes,
            demonstrated_episodes=demonstrated_episodes,
        )
        if prior_episodes + posterior_episodes < 1:
            raise ValueError("prior_episodes + posterior_episodes must be at least 1: the encoder needs context")
        _check_demonstrator(demonstrator, demonstrated_episodes)
        self.every_n_updates = every_n_updates
        self.demonstrated_episodes, self.demonstrator = demonstrated_episodes, demonstrator
        self.initial_iterations, self.initial_action_steps = initial_iterations, initial_action_steps
        self.prior_episodes, self.posterior_episodes, self.rl_episodes = prior_episodes, posterior_episodes, rl_episodes

    def start_settings(self) -> dict[str, Any]:
        """Settings that only affect the start of a run."""
        return {name: getattr(self, name) for name in ("initial_iterations", "initial_action_steps")}

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().check(trainer, pl_module)
        if isinstance(pl_module, OnPolicyAgent):
            raise TypeError(f"EpisodeCollector requires an off-policy agent, got {type(pl_module).__name__}")
        data = meta_batches(trainer)
        arenas_per_task = data.env.arenas // self.tasks_per_iteration
        later = arenas_per_task * (self.rl_episodes + self.demonstrated_episodes)
        if data.episodes_per_task < later + data.context_episodes[0]:
            raise ValueError(
                f"episodes_per_task must be at least {later + data.context_episodes[0]}, got {data.episodes_per_task}: "
                f"an iteration plays {later} episodes per task after those of the context, which would replace them"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.iterations == 0 or len(meta_batches(trainer).replay) == 0:  # new data module for a trained agent
            for _ in range(self.initial_iterations):
                self.collect(trainer, pl_module)
        elif trainer.global_step % self.every_n_updates == 0 and self.collected_at < trainer.global_step:
            self.collect(trainer, pl_module)  # the run had ended here and is extended

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_updates == 0 and trainer.global_step != trainer.max_steps:
            self.collect(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        age = meta_batches(trainer).diagnostics.get("age")
        if age is not None and logs_this_update(trainer):
            pl_module.log("train/context_age", age)

    @timed("collection")
    @torch.no_grad()
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run one iteration. Only whole episodes are stored; a lost episode that cannot be repeated ends the run."""
        data, update = meta_batches(trainer), trainer.global_step
        self.give_tasks(data.env)
        returns: dict[str, list[float]] = {}
        for kind, is_context, episode in self._episodes(data.env, cast(Agent, pl_module)):
            data.replay.extend(episode, is_context, update)
            returns.setdefault(kind, []).append(self.count(data.progress, episode))
        self.end_iteration(trainer, {name: sum(each) / len(each) for name, each in returns.items()})

    def _episodes(self, env: MetaEnv, agent: Agent) -> Iterator[tuple[str, bool, TensorDict]]:
        """Play the episodes of an iteration; yield the kind of each, whether it is context, and its rows."""
        assert self.generator is not None, "call setup first"
        is_uniform = self.iterations < self.initial_iterations and self.initial_action_steps is not None
        yield from self._uniform_episodes(env) if is_uniform else self._own_episodes(env, agent)
        if self.demonstrator is not None:
            demonstrating = DemonstratorPlayer(self.demonstrator, self.generator)
            for _ in range(self.demonstrated_episodes):
                yield "demonstrated", False, play_episode(env, demonstrating)

    def _uniform_episodes(self, env: MetaEnv) -> Iterator[tuple[str, bool, TensorDict]]:
        uniform = UniformPlayer(env.action_space, self.initial_action_steps or 1, self.generator)
        context_episodes = self.prior_episodes + self.posterior_episodes
        for number in range(context_episodes + self.rl_episodes):
            yield "uniform", number < context_episodes, play_episode(env, uniform)

    def _own_episodes(self, env: MetaEnv, agent: Agent) -> Iterator[tuple[str, bool, TensorDict]]:
        player = partial(Player, agent, env.arenas, generator=self.generator, explores=True)
        belief = agent.prior(env.arenas)
        exploring = player(remembers=False)
        for _ in range(self.prior_episodes):
            episode = play_episode(env, exploring)
            belief.observe(steps_of(episode))
            yield "prior", True, episode
        adapting = player(belief=belief)
        for _ in range(self.posterior_episodes):
            yield "posterior", True, play_episode(env, adapting)
        exploiting = player(belief=adapting.belief, remembers=False)
        for _ in range(self.rl_episodes):
            yield "posterior", False, play_episode(env, exploiting)


def _check_at_least(smallest: int, **settings: int) -> None:
    for name, value in settings.items():
        if value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}")


def _check_demonstrator(demonstrator: Demonstrator | None, episodes: int) -> None:
    if (demonstrator is None) != (episodes == 0):
        raise ValueError(f"demonstrated_episodes must be above 0 with a demonstrator and 0 without, got {episodes}")
    if demonstrator is not None and demonstrator.follows:
        raise ValueError(
            f"demonstrator must play from observations alone, got {type(demonstrator).__name__}, which follows rewards"
        )
