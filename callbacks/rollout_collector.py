"""Callback that collects episodes for on-policy agents."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer

from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.experience.player import FunctionPlayer, Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.experience.rollouts import rollout_data


class RolloutCollector(Collector):
    """Plays the agent's number of episodes in every arena whenever the data of an on-policy agent are used up.

    Args:
        tasks_per_iteration: Number of train tasks per iteration; it must divide the number of arenas.
    """

    def __init__(self, tasks_per_iteration: int = 64) -> None:
        super().__init__(tasks_per_iteration)

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().check(trainer, pl_module)
        if not isinstance(pl_module, OnPolicyAgent):
            raise TypeError(f"RolloutCollector requires an on-policy agent, got {type(pl_module).__name__}")
        data = rollout_data(trainer)
        if pl_module.learns_from_whole_iterations and (data.minibatches, data.epochs) != (1, 1):
            given = f"{data.minibatches} and {data.epochs}"
            raise ValueError(f"minibatches and epochs must be 1 for {type(pl_module).__name__}, got {given}")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if rollout_data(trainer).rollout.is_used_up():
            self.collect(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if rollout_data(trainer).rollout.is_used_up() and trainer.global_step != trainer.max_steps:
            self.collect(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @timed("collection")
    @torch.no_grad()
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data, agent = rollout_data(trainer), cast(OnPolicyAgent, pl_module)
        self.give_tasks(data.env)
        assert self.generator is not None
        policy, arenas = agent.explore(data.env.arenas, self.generator), data.env.arenas
        player = FunctionPlayer(policy) if policy is not None else Player(agent, arenas, generator=self.generator)
        episodes = [play_episode(data.env, player) for _ in range(agent.episodes)]
        data.rollout.put(agent.experience(episodes))
        returns = [self.count(data.progress, episode) for episode in episodes]
        self.end_iteration(trainer, {"training": sum(returns) / len(returns)})
