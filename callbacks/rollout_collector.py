"""Plays with the policy as it is, whenever updates have used up what it played before."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer

from pearl_lightning.baselines.on_policy import OnPolicyAgent
from pearl_lightning.baselines.rollouts import rollout_data
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.rollout import play_episode


class RolloutCollector(Collector):
    """One episode in every arena for an on-policy agent, as often as its data run out.

    Args:
        tasks_per_iteration: Train tasks played in an iteration; the arenas must be a multiple of it.
    """

    def __init__(self, tasks_per_iteration: int = 64) -> None:
        super().__init__(tasks_per_iteration)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if not isinstance(pl_module, OnPolicyAgent):
            raise TypeError(f"RolloutCollector is for an on-policy agent, got {type(pl_module).__name__}")
        if rollout_data(trainer).rollout.is_used_up():
            self.collect(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if rollout_data(trainer).rollout.is_used_up() and trainer.global_step != trainer.max_steps:
            self.collect(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @timed
    @torch.no_grad()
    def collect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data, agent = rollout_data(trainer), cast(OnPolicyAgent, pl_module)
        self.give_tasks(data.env)
        assert self.generator is not None
        episode = play_episode(data.env, agent.explore(data.env.arenas, self.generator))
        data.rollout.put(agent.experience(episode))
        self.end_iteration(trainer, {"training": self.count(episode)})
