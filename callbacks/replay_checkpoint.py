"""Checkpoints from which a run goes on exactly where it was."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pearl_lightning.callbacks.collector import collectors
from pearl_lightning.data import meta_batches
from pearl_lightning.pearl import PEARL


class ReplayCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` and, beside it, a folder per process with replay, random states and counters.

    The folder is written first, whole, under a new name; the ``.ckpt`` names it and is the commit mark, so a run killed
    at any moment leaves a checkpoint that loads. It is written every ``every_n_updates`` updates, when training ends,
    on Ctrl-C and on SIGTERM (the process then exits with status 143). Nothing in it is unpickled.

    Args:
        every_n_updates: Updates between two checkpoints.
        folder: Where; ``checkpoints`` in the run's folder when left out.
    """

    def __init__(self, every_n_updates: int = 1000, folder: str | None = None) -> None:
        if every_n_updates < 1:
            raise ValueError(f"every_n_updates must be at least 1, got {every_n_updates}")
        self.every_n_updates, self.folder = every_n_updates, folder
        self.saved_step = -1
        self._side: str | None = None  # name of the side directory that the checkpoint being written commits
        self._restore: dict[str, Any] | None = None

    # --- writing ----------------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_updates == 0 or trainer.received_sigterm:
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.saved_step != trainer.global_step:
            self.save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        stopped = isinstance(exception, (SIGTERMException, KeyboardInterrupt))
        if stopped and trainer.state.fn == "fit" and 0 < trainer.global_step != self.saved_step:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the side directory of every process, then the checkpoint that commits them."""
        folder = self._folder(trainer)
        token = trainer.strategy.broadcast(uuid.uuid4().hex[:8])
        self._side = f"last-{trainer.global_step:08d}-{token}"
        self._write_side(trainer, folder / self._side / f"rank-{trainer.global_rank}")
        trainer.strategy.barrier("side directories written")
        self.saved_step = trainer.global_step
        trainer.save_checkpoint(folder / "last.ckpt")
        if trainer.is_global_zero:
            for old in folder.glob("last-*-*"):
                if old.name != self._side:
                    shutil.rmtree(old, ignore_errors=True)
        self._side = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._side is not None:
            checkpoint["pearl_replay"] = {"side": self._side, "world_size": trainer.world_size}

    def _write_side(self, trainer: Trainer, folder: Path) -> None:
        module, data = cast(PEARL, trainer.lightning_module), meta_batches(trainer)
        assert data.replay is not None
        data.replay.save(folder / "replay")
        state = {
            "env": data.env.random_state(),
            "noise": module.noise.get_state(),
            "torch": torch.get_rng_state(),
            "collectors": [collector.state() for collector in collectors(trainer)],
        }
        torch.save(state, folder / "random.pt")

    # --- reading ----------------------------------------------------------------------------------------------------

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        if "pearl_replay" not in checkpoint:
            raise ValueError(
                f"{trainer.ckpt_path} has no replay beside it: resume from a last.ckpt, not from a best one"
            )
        self._restore = checkpoint["pearl_replay"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # before any callback collects
        if self._restore is None:
            return
        saved = self._restore["world_size"]
        if saved != trainer.world_size:
            raise ValueError(
                f"this checkpoint was written by {saved} processes; resume with {saved}, not {trainer.world_size}"
            )
        folder = Path(str(trainer.ckpt_path)).parent / self._restore["side"] / f"rank-{trainer.global_rank}"
        if not folder.is_dir():
            raise FileNotFoundError(f"the checkpoint's replay directory {folder} is missing: keep it beside the .ckpt")
        state = torch.load(folder / "random.pt", weights_only=True)
        data = meta_batches(trainer)
        assert data.replay is not None
        data.replay.load(folder / "replay")
        data.env.load_random_state(state["env"])
        cast(PEARL, pl_module).noise.set_state(state["noise"])
        for collector, saved_state in zip(collectors(trainer), state["collectors"], strict=True):
            collector.load_state(saved_state)
        torch.set_rng_state(state["torch"])
        self._restore = None

    def _folder(self, trainer: Trainer) -> Path:
        if self.folder is not None:
            return Path(self.folder)
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
