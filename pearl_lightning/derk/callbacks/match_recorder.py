"""Callback that records clips of matches during training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.agents.agent import Agent
from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames
from pearl_lightning.derk.watching.record import one_arena, record_adaptation
from pearl_lightning.experience.data import env_data
from pearl_lightning.media import log_clip

FOLDER = "clips"
"""Folder of the clips in a run's folder."""
_PIXELS, _EVERY = 320, 3  # every third frame at the same frame rate: three times as fast as the game


class MatchRecorder(Callback):
    """Records a validation task of Derk's Gym in the simulator every ``every_n_updates`` updates.

    A clip lies in the run's folder as ``clips/update-<n>.gif``, and loggers that take clips show it as ``match``. It
    is played in an arena of its own, from the same start each time: filming changes no run, and clips can be compared.

    Args:
        every_n_updates: Number of updates between two clips, at least 1.
        episodes: Number of episodes in a clip, at least 1.
        task: Index among the validation tasks, at least 0.
        seed: Seed of starts and samples.
    """

    def __init__(self, every_n_updates: int = 1000, episodes: int = 2, task: int = 0, seed: int = 0) -> None:
        for name, value in (("every_n_updates", every_n_updates), ("episodes", episodes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.every_n_updates, self.episodes, self.task, self.seed = every_n_updates, episodes, task, seed
        self._arena: DerkEnv | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        env = env_data(trainer).env
        if not isinstance(env, DerkEnv):
            raise ValueError(f"MatchRecorder requires Derk's Gym, got {type(env).__name__}")
        if not 0 <= self.task < len(env.tasks.validation):
            raise ValueError(f"task must be a validation task, in [0, {len(env.tasks.validation)}), got {self.task}")
        if trainer.is_global_zero:
            self._arena = one_arena(env)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._arena is None or trainer.global_step % self.every_n_updates:
            return
        index = self._arena.tasks.validation_indices[self.task]
        agent = cast(Agent, pl_module)
        records = record_adaptation(self._arena, agent, index, episodes=self.episodes, seed=self.seed)
        clip = gif_bytes(match_frames(records, _PIXELS, _EVERY), float(FRAMES_PER_SECOND))
        if is_trial(trainer):  # a trial writes no files
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"update-{trainer.global_step:08d}.gif").write_bytes(clip)
        log_clip(trainer.loggers, "match", clip, trainer.global_step - 1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._arena is not None:
            self._arena.close(raise_if_closed=False)
            self._arena = None
