"""Snapshots of the learner that it plays against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.data import world_data
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.opponents.past_selves import PastSelves
from pearl_lightning.frozen import CheckpointOpponent

FOLDER = "snapshots"
"""Where a run keeps them."""


class SelfPlayPool(Callback):
    """Adds the learner as it is to the pool that ``selves:hard`` (or ``even``, ``uniform``) plays.

    Let tasks name one of these among their opponents. A snapshot is a checkpoint ``snapshots/update-<n>.ckpt`` in the
    run's folder; ``pearl league`` plays them against each other. List this callback after the collector.

    Args:
        every_n_updates: Updates between two snapshots, at least 1.
        kept: Snapshots in the pool, the latest ones, at least 1; older files stay.
    """

    def __init__(self, every_n_updates: int = 500, kept: int = 10) -> None:
        for name, value in (("every_n_updates", every_n_updates), ("kept", kept)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.every_n_updates, self.kept = every_n_updates, kept
        self.snapshots: list[str] = []  # file names of those in the pool
        self.pools: list[PastSelves] = []  # the opponents of the run's env that they play as
        self._resumed: list[dict[str, Any]] = []  # a checkpoint's results of each

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        env = world_data(trainer).env
        opponents = env.opponents.values() if isinstance(env, DerkEnv) else ()
        self.pools = [opponent for opponent in opponents if isinstance(opponent, PastSelves)]
        if not self.pools:
            raise ValueError("SelfPlayPool needs tasks of Derk's Gym whose opponent is selves:hard, :even or :uniform")
        if not env.has_outcome:
            raise ValueError("SelfPlayPool needs tasks that pay both teams alike: otherwise nobody wins")
        for name in self.snapshots:
            self._add(self._folder(trainer) / name)
        for pool, results in zip(self.pools, self._resumed, strict=False):
            pool.load_state(results)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        shares = [share for pool in self.pools if (share := pool.count()) is not None]
        if shares:
            pl_module.log("league/score_against_past_selves", sum(shares) / len(shares))
        if trainer.global_step % self.every_n_updates == 0:
            path = self._folder(trainer) / f"update-{trainer.global_step:08d}.ckpt"
            trainer.save_checkpoint(path, weights_only=True)
            self._add(path)
            self.snapshots = [*self.snapshots, path.name][-self.kept :]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for pool in self.pools:
            pool.forget()

    def state_dict(self) -> dict[str, Any]:
        return {"snapshots": self.snapshots, "results": [pool.state() for pool in self.pools]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.snapshots, self._resumed = state_dict["snapshots"], state_dict["results"]

    def _add(self, path: Path) -> None:
        for pool in self.pools:
            pool.add(CheckpointOpponent(str(path)), self.kept)

    @staticmethod
    def _folder(trainer: Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / FOLDER
