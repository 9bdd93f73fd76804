"""Checkpoints from which a run goes on exactly where it was."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import uuid
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from pearl_lightning.agent import Agent
from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.collector import process_callbacks
from pearl_lightning.callbacks.timing import Timed, timed
from pearl_lightning.data import world_data


class ReplayCheckpoint(Timed, Checkpoint):
    """Writes ``last.ckpt`` and, beside it, a folder per process with replay, random states and counters.

    The folder is written first, whole, under a new name; the ``.ckpt`` names it and is the commit mark, so a run killed
    at any moment leaves a checkpoint that loads. It is written every ``every_n_updates`` updates, when training ends,
    and on Ctrl-C or SIGTERM: the process then finishes the update at hand, saves, and exits with status 130 or 143; a
    second signal stops it at once. Nothing in it is unpickled.

    ``best.ckpt`` holds the weights whose last evaluated episode returned most on the validation tasks.

    Args:
        every_n_updates: Updates between two checkpoints.
        folder: Where; ``checkpoints`` in the run's folder when left out.
    """

    def __init__(self, every_n_updates: int = 1000, folder: str | None = None) -> None:
        if every_n_updates < 1:
            raise ValueError(f"every_n_updates must be at least 1, got {every_n_updates}")
        self.every_n_updates, self.folder = every_n_updates, folder
        self.saved_step = -1
        self.last: Path | None = None  # the last.ckpt that this process wrote
        self._side: str | None = None  # name of the side directory that the checkpoint being written commits
        self._restore: dict[str, Any] | None = None
        self._signal = 0  # the signal that asked this process to stop
        self._stopping = False  # all processes know of it, and the checkpoint is written

    # --- when to write ----------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.received_sigterm:  # while the run was set up: nothing to save yet
            sys.exit(128 + signal.SIGTERM)
        self._signal, self._stopping = 0, False
        for number in (signal.SIGINT, signal.SIGTERM):  # Lightning puts the former handlers back when it ends
            signal.signal(number, self._ask_to_stop)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._stopping:  # a launcher takes a child's other status for a crash
            sys.exit(128 + (self._signal or signal.SIGTERM) if trainer.is_global_zero else 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stopping = trainer.strategy.reduce_boolean_decision(bool(self._signal), all=False)
        if self._stopping or trainer.global_step % self.every_n_updates == 0 or self._is_last(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if trainer.should_stop or self.saved_step == trainer.global_step:
            self.save(trainer)  # again: a resumed run knows of the evaluation
        returns = _last_returns(trainer)
        if returns and returns[-1] == max(returns):
            self._save_best(trainer)

    @timed
    def _save_best(self, trainer: Trainer) -> None:
        self._write(trainer, "best.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.saved_step != trainer.global_step:
            self.save(trainer)

    def _is_last(self, trainer: Trainer) -> bool:
        last_epoch = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        return trainer.should_stop or trainer.global_step == trainer.max_steps or last_epoch

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            sys.exit(128 + number)
        self._signal = number
        print(f"\nstopping with a checkpoint after this update ({signal.Signals(number).name})", file=sys.stderr)

    # --- writing ----------------------------------------------------------------------------------------------------

    @timed
    def save(self, trainer: Trainer) -> None:
        """Write the side directory of every process, then the checkpoint that commits them."""
        folder = self._folder(trainer)
        token = trainer.strategy.broadcast(uuid.uuid4().hex[:8])
        self._side = f"last-{trainer.global_step:08d}-{token}"
        try:
            self._write_side(trainer, folder / self._side / f"rank-{trainer.global_rank}")
            trainer.strategy.barrier("side directories written")
            self._write(trainer, "last.ckpt")
        except (OSError, RuntimeError) as error:  # torch.save's own errors name neither the file nor the reason
            shutil.rmtree(folder / self._side, ignore_errors=True)
            (folder / "last.ckpt.new").unlink(missing_ok=True)
            raise OSError(
                f"cannot write the checkpoint of update {trainer.global_step} to {folder} "
                f"({shutil.disk_usage(folder).free / 2**20:.0f} MiB free): {error}"
            ) from error
        self.saved_step, self.last = trainer.global_step, folder / "last.ckpt"
        if trainer.is_global_zero:
            for old in folder.glob("last-*-*"):
                if old.name != self._side:
                    shutil.rmtree(old, ignore_errors=True)
        self._side = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._side is not None:
            checkpoint["pearl_replay"] = {"side": self._side, "world_size": trainer.world_size}

    def _write(self, trainer: Trainer, name: str) -> None:
        """A checkpoint file that is whole at every moment: Lightning's own write may copy it from another disk."""
        path = self._folder(trainer) / name
        written = path.with_suffix(".ckpt.new")
        trainer.save_checkpoint(written)
        if trainer.is_global_zero:
            os.replace(written, path)
        trainer.strategy.barrier(f"{name} committed")

    def _write_side(self, trainer: Trainer, folder: Path) -> None:
        module, data = cast(Agent, trainer.lightning_module), world_data(trainer)
        assert data.store is not None
        data.store.save(folder / "replay")
        state = {
            "env": data.env.random_state(),
            "noise": module.noise.get_state(),
            "torch": torch.get_rng_state(),
            "callbacks": [callback.state() for callback in process_callbacks(trainer)],
            "callback_names": _names(trainer),
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
        if state["callback_names"] != _names(trainer):
            raise ValueError(
                f"this checkpoint was written with {', '.join(state['callback_names'])} among the callbacks; resume "
                f"with them, in that order, not with {', '.join(_names(trainer)) or 'none'}"
            )
        data = world_data(trainer)
        assert data.store is not None
        data.store.load(folder / "replay")
        data.env.load_random_state(state["env"])
        cast(Agent, pl_module).noise.set_state(state["noise"])
        for callback, saved_state in zip(process_callbacks(trainer), state["callbacks"], strict=True):
            callback.load_state(saved_state)
        torch.set_rng_state(state["torch"])
        self._restore = None

    def _folder(self, trainer: Trainer) -> Path:
        if self.folder is not None:
            return Path(self.folder)
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"


def _names(trainer: Trainer) -> list[str]:
    """Classes of the callbacks whose state is kept per process."""
    return [type(callback).__name__ for callback in process_callbacks(trainer)]


def _last_returns(trainer: Trainer) -> list[float]:
    """Return of the last episode on the validation tasks, at each evaluation after the first update."""
    evaluations = [c for c in trainer.callbacks if isinstance(c, AdaptationEvaluation)]  # type: ignore[attr-defined]
    points = [point for evaluation in evaluations[:1] for point in evaluation.history if point["update"] > 0]
    return [point["table"]["episodes"][-1]["return_mean"] for point in points]
