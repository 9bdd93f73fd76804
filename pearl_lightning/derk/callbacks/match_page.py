"""Callback that writes the page of a match when training ends."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.agents.agent import Agent
from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.watching.page import match_page
from pearl_lightning.derk.watching.record import one_arena, record_adaptation
from pearl_lightning.experience.data import env_data

NAME = "match.html"
"""File name of the page in a run's folder."""


class MatchPage(Callback):
    """Writes ``match.html`` when training ends. The agent adapts to a validation task of Derk's Gym in the simulator.

    The page is self-contained. It shows the match and, for each episode, the belief at its start.

    Args:
        episodes: Number of episodes of the task, at least 1.
        task: Index among the validation tasks, at least 0.
        seed: Seed of starts and samples.
    """

    def __init__(self, episodes: int = 3, task: int = 0, seed: int = 0) -> None:
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        self.episodes, self.task, self.seed = episodes, task, seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        env = env_data(trainer).env
        if not isinstance(env, DerkEnv):
            raise ValueError(f"MatchPage requires Derk's Gym, got {type(env).__name__}")
        if not 0 <= self.task < len(env.tasks.validation):
            raise ValueError(f"task must be a validation task, in [0, {len(env.tasks.validation)}), got {self.task}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_dir = trainer.log_dir  # a collective call: all processes must make it
        if not trainer.is_global_zero or log_dir is None or is_trial(trainer):
            return
        arena = one_arena(cast(DerkEnv, env_data(trainer).env))
        try:
            index = arena.tasks.validation_indices[self.task]
            records = record_adaptation(arena, cast(Agent, pl_module), index, episodes=self.episodes, seed=self.seed)
        finally:
            arena.close(raise_if_closed=False)
        path = Path(log_dir) / NAME
        title = f"{path.parent.name} against {records[0].task.opponent}, validation task {self.task}"
        path.write_text(match_page(records, title, path.parent.name), encoding="utf-8")
        print(f"Match page: {path} (open it in a browser)")
