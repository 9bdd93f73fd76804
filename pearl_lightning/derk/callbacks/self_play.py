"""Self-play: the learner plays against its past versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from pearl_lightning.callbacks.collector import ProcessCallback
from pearl_lightning.callbacks.per_agent import PerAgent
from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.opponents.checkpoint import CheckpointOpponent
from pearl_lightning.derk.opponents.past_selves import PastSelves
from pearl_lightning.experience.data import env_data

FOLDER = "snapshots"
"""Folder of the snapshots in a run's folder."""


class SelfPlayPool(PerAgent, ProcessCallback):
    """Adds snapshots of the learner to the pool of the opponent ``selves:hard``, ``selves:even`` or ``selves:uniform``.

    The tasks must name one of these among their opponents. A snapshot is a checkpoint ``snapshots/update-<n>.ckpt`` in
    the run's folder; ``pearl league`` plays snapshots against each other. List this callback after the collector.

    Args:
        every_n_updates: Number of updates between two snapshots, at least 1.
        kept: Number of latest snapshots in the pool, at least 1. Files of older snapshots are not deleted.
    """

    def __init__(self, every_n_updates: int = 500, kept: int = 10) -> None:
        for name, value in (("every_n_updates", every_n_updates), ("kept", kept)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.every_n_updates, self.kept = every_n_updates, kept
        self.start_afresh()

    def start_afresh(self) -> None:
        self.folder = Path(FOLDER)
        self.snapshots: list[str] = []  # file names of the snapshots in the pool
        self.added_at = 0  # update of the latest snapshot
        self.pools: dict[str, PastSelves] = {}  # opponents of the environment that play the snapshots, by name

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / FOLDER
        env = env_data(trainer).env
        opponents = env.opponents.items() if isinstance(env, DerkEnv) else ()
        self.pools = {name: opponent for name, opponent in opponents if isinstance(opponent, PastSelves)}
        for pool in self.pools.values() if not self.snapshots else ():
            pool.clear()  # remove past selves of another agent
        if not self.pools:
            raise ValueError("SelfPlayPool needs tasks of Derk's Gym whose opponent is selves:hard, :even or :uniform")
        if not env.has_outcome:
            raise ValueError("SelfPlayPool needs tasks that give both teams equal bounties: otherwise nobody wins")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step:  # the run had ended here and is resumed; the collector has already played
            self._count()
        self._add_if_due(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if shares := self._count():
            pl_module.log("league/score_against_past_selves", sum(shares) / len(shares))
        if trainer.global_step != trainer.max_steps:  # like the collector, which does not play after the last update
            self._add_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for pool in self.pools.values():
            pool.forget()

    def state(self) -> dict[str, Any]:
        results = {name: pool.state() for name, pool in self.pools.items()}
        return {"snapshots": self.snapshots, "added_at": self.added_at, "results": results}

    def load_state(self, state: dict[str, Any]) -> None:
        self.added_at, self.snapshots = state["added_at"], []
        for pool in self.pools.values():
            pool.clear()
        for name in state["snapshots"]:
            self._add(name)
        for name, results in state["results"].items():
            if name in self.pools:  # a config may no longer contain it
                self.pools[name].load_state(results)

    def _count(self) -> list[float]:
        """Count the results of the episodes since the last call; return the learner's share of wins in each pool."""
        return [share for pool in self.pools.values() if (share := pool.count()) is not None]

    def _add_if_due(self, trainer: Trainer) -> None:
        update = trainer.global_step
        if update == 0 or update % self.every_n_updates or self.added_at == update or is_trial(trainer):
            return
        name = f"update-{update:08d}.ckpt"
        trainer.save_checkpoint(self.folder / name, weights_only=True)
        self._add(name)
        self.added_at = update

    def _add(self, name: str) -> None:
        player = CheckpointOpponent(str(self.folder / name))
        for pool in self.pools.values():
            pool.add(player, self.kept)
        self.snapshots = [*self.snapshots, name][-self.kept :]
