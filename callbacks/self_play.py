"""Snapshots of the learner that it plays against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from pearl_lightning.callbacks.collector import ProcessCallback
from pearl_lightning.data import world_data
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.opponents.past_selves import PastSelves
from pearl_lightning.frozen import CheckpointOpponent

FOLDER = "snapshots"
"""Where a run keeps them."""


class SelfPlayPool(ProcessCallback):
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
        self.folder = Path(FOLDER)
        self.snapshots: list[str] = []  # names of the files there that are in the pool
        self.added_at = 0  # update of the last one
        self.pools: dict[str, PastSelves] = {}  # the opponents of the run's env that play them, by name

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / FOLDER
        env = world_data(trainer).env
        opponents = env.opponents.items() if isinstance(env, DerkEnv) else ()
        self.pools = {name: opponent for name, opponent in opponents if isinstance(opponent, PastSelves)}
        if not self.pools:
            raise ValueError("SelfPlayPool needs tasks of Derk's Gym whose opponent is selves:hard, :even or :uniform")
        if not env.has_outcome:
            raise ValueError("SelfPlayPool needs tasks that pay both teams alike: otherwise nobody wins")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._add_if_due(trainer)  # the run had ended here, and now goes on: the collector has played before

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        shares = [share for pool in self.pools.values() if (share := pool.count()) is not None]
        if shares:
            pl_module.log("league/score_against_past_selves", sum(shares) / len(shares))
        if trainer.global_step != trainer.max_steps:  # as a collector, which plays no more then either
            self._add_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for pool in self.pools.values():
            pool.forget()

    def state(self) -> dict[str, Any]:
        results = {name: pool.state() for name, pool in self.pools.items()}
        return {"snapshots": self.snapshots, "added_at": self.added_at, "results": results}

    def load_state(self, state: dict[str, Any]) -> None:
        self.added_at = state["added_at"]
        for name in state["snapshots"]:
            self._add(name)
        for name, results in state["results"].items():
            if name in self.pools:  # a config may have dropped it
                self.pools[name].load_state(results)

    def _add_if_due(self, trainer: Trainer) -> None:
        update = trainer.global_step
        if update == 0 or update % self.every_n_updates or self.added_at == update:
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
