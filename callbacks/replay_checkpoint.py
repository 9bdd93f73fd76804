"""Checkpoints that contain everything needed to resume a run exactly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment

from pearl_lightning.agents.agent import Agent
from pearl_lightning.callbacks.collector import process_callbacks
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.experience.data import env_data
from pearl_lightning.experience.progress import summed_counts
from pearl_lightning.randomness import restore_generator
from pearl_lightning.resume import (
    apply_optimizer_settings,
    check_optimizers,
    check_start_settings,
    optimizer_settings,
    start_settings,
)


class ReplayCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` and, beside it, a folder per process with replay, random states and counters.

    The folders are written first, under a new name. The ``.ckpt`` file names them and is the commit mark, so a run that
    is killed at any moment leaves a valid checkpoint. A checkpoint is written every ``every_n_updates`` updates, when
    training ends, and on Ctrl-C or SIGTERM. On these signals the process finishes the current update, saves, and exits
    with status 130 or 143; a second signal stops it immediately. Signals are handled in the main thread only. Loading a
    checkpoint does not unpickle anything.

    Under SLURM, the signal before the end of the time limit (SIGUSR1, with ``sbatch --signal=USR1@90``) also saves a
    checkpoint, and requeues the job; ``pearl fit`` then resumes the run.

    ``best.ckpt`` contains the weights with the highest return in the last episode of an evaluation on the validation
    tasks.

    A resumed run takes its settings from its config. A changed setting that only affects the start of a run, or an
    optimizer that does not match the saved state, raises an error.

    Args:
        every_n_updates: Number of updates between two checkpoints, at least 1.
    """

    def __init__(self, every_n_updates: int = 1000) -> None:
        if every_n_updates < 1:
            raise ValueError(f"every_n_updates must be at least 1, got {every_n_updates}")
        self.every_n_updates = every_n_updates
        self.saved_step = -1
        self.last: Path | None = None  # last.ckpt written by this process
        self._side: str | None = None  # name of the side directory of the checkpoint that is being written
        self._restore: dict[str, Any] | None = None
        self._requeue_signal = 0  # signal from SLURM; 0 without SLURM
        self._handler_before: Any = None  # previous handler of that signal
        self._signal = 0  # signal that requested this process to stop
        self._stopping = False  # all processes have agreed to stop, and the checkpoint is written

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.saved_step, self.last, self._restore = -1, None, None  # discard the state of an earlier trainer

    # --- when to write ----------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.received_sigterm:  # received during set-up: there is nothing to save yet
            sys.exit(128 + signal.SIGTERM)
        if self._signal == self._requeue_signal != 0:
            self._leave(trainer)
        if self._restore is not None:  # the optimizers' states are restored by now
            apply_optimizer_settings(trainer, self._restore["optimizers"])
            self._restore = None
        self._signal, self._stopping = 0, False
        if threading.current_thread() is not threading.main_thread():
            return  # Python handles signals in the main thread only
        for number in (signal.SIGINT, signal.SIGTERM):  # Lightning restores the previous handlers at the end
            signal.signal(number, self._ask_to_stop)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._stopping:
            self._leave(trainer)

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
            self.save(trainer)  # again, so that a resumed run has the evaluation
        points = [point for point in env_data(trainer).progress.comparable() if point.update > 0]
        returns = [point.table.episodes[-1].return_mean for point in points]
        if returns and returns[-1] == max(returns) and not is_trial(trainer):
            self._save_best(trainer)

    @timed("checkpoints")
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
        print(
            f"\nsaving a checkpoint after this update, then stopping ({signal.Signals(number).name})", file=sys.stderr
        )

    def _listen_for_requeue(self, trainer: Trainer) -> None:
        """Handle SLURM's signal instead of Lightning, because Lightning's checkpoint does not contain the replay."""
        environment = (
            trainer._accelerator_connector.cluster_environment
        )  # a single-device strategy has no such attribute
        in_main_thread = threading.current_thread() is threading.main_thread()
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue and in_main_thread:
            self._requeue_signal = int(environment.requeue_signal or 0)
            self._handler_before = signal.signal(self._requeue_signal, self._ask_to_stop)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._requeue_signal:
            signal.signal(self._requeue_signal, self._handler_before)
            self._requeue_signal = 0

    def _leave(self, trainer: Trainer) -> NoReturn:
        """Exit after a signal; the first process requeues a SLURM job."""
        if not trainer.is_global_zero:  # a launcher treats any other status of a child as a crash
            sys.exit(0)
        if self._signal == self._requeue_signal != 0:
            requeue_job()
        sys.exit(128 + (self._signal or signal.SIGTERM))

    # --- writing ----------------------------------------------------------------------------------------------------

    @timed("checkpoints")
    def save(self, trainer: Trainer) -> None:
        """Write the side directory of each process, then the checkpoint that commits them."""
        if is_trial(trainer):  # a trial writes no files
            return
        folder = self._folder(trainer)
        token = trainer.strategy.broadcast(uuid.uuid4().hex[:8])
        self._side = f"last-{trainer.global_step:08d}-{token}"
        try:
            self._write_side(trainer, folder / self._side / f"rank-{trainer.global_rank}")
            trainer.strategy.barrier("side directories written")
            self._write(trainer, "last.ckpt")
        except (OSError, RuntimeError) as error:  # errors of torch.save contain neither the file nor the reason
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
            checkpoint["pearl_replay"] = {
                "side": self._side,
                "world_size": trainer.world_size,
                "start_settings": start_settings(trainer),
                "optimizers": optimizer_settings(trainer),
            }

    def _write(self, trainer: Trainer, name: str) -> None:
        """Write a checkpoint file atomically. Lightning's own write is not atomic if it copies from another disk."""
        path = self._folder(trainer) / name
        written = path.with_suffix(".ckpt.new")
        trainer.save_checkpoint(written)
        if trainer.is_global_zero:
            os.replace(written, path)
        trainer.strategy.barrier(f"{name} committed")

    def _write_side(self, trainer: Trainer, folder: Path) -> None:
        module, data = cast(Agent, trainer.lightning_module), env_data(trainer)
        assert data.store is not None
        data.store.save(folder / "replay")
        state = {
            "env": data.env.random_state(),
            "noise": module.noise.get_state(),
            "torch": torch.get_rng_state(),
            "progress": data.progress.collected(),
            "callbacks": [callback.state() for callback in process_callbacks(trainer)],
            "callback_names": _names(trainer),
        }
        torch.save(state, folder / "random.pt")

    # --- reading ----------------------------------------------------------------------------------------------------

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        if "pearl_replay" not in checkpoint:
            raise ValueError(f"{trainer.ckpt_path} has no replay: resume from a last.ckpt, not from a best.ckpt")
        self._restore = checkpoint["pearl_replay"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # before any callback collects
        self._require_own_names(trainer)
        self._listen_for_requeue(trainer)
        if self._restore is None:
            return
        saved = self._restore["world_size"]
        if saved != trainer.world_size:
            raise ValueError(
                f"this checkpoint was written by {saved} processes; resume with {saved}, not {trainer.world_size}"
            )
        folder = Path(str(trainer.ckpt_path)).parent / self._restore["side"] / f"rank-{trainer.global_rank}"
        if not folder.is_dir():
            raise FileNotFoundError(f"the checkpoint's replay directory {folder} is missing: keep it next to the .ckpt")
        state = torch.load(folder / "random.pt", map_location="cpu", weights_only=True)
        if state["callback_names"] != _names(trainer):
            raise ValueError(
                f"this checkpoint was written with {', '.join(state['callback_names'])} among the callbacks; resume "
                f"with them, in that order, not with {', '.join(_names(trainer)) or 'none'}"
            )
        check_start_settings(trainer, self._restore["start_settings"])
        check_optimizers(trainer, self._restore["optimizers"])
        data = env_data(trainer)
        assert data.store is not None
        data.store.load(folder / "replay")
        data.progress.load_collected(state.get("progress") or summed_counts(state["callbacks"]))
        data.env.load_random_state(state["env"])
        restore_generator(cast(Agent, pl_module).noise, state["noise"], "the updates")
        for callback, saved_state in zip(process_callbacks(trainer), state["callbacks"], strict=True):
            callback.load_state(saved_state)
        torch.set_rng_state(state["torch"])

    def _require_own_names(self, trainer: Trainer) -> None:
        """Raise an error if a ``ModelCheckpoint`` would overwrite a checkpoint of this callback."""
        folder = self._folder(trainer).resolve()
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or Path(str(callback.dirpath)).resolve() != folder:
                continue
            names = (callback.filename, callback.CHECKPOINT_NAME_LAST if callback.save_last else None)
            for name in set(names) & {"last", "best"}:
                raise ValueError(
                    f"ModelCheckpoint must not write {name}.ckpt to {callback.dirpath}; ReplayCheckpoint writes it: "
                    "set its dirpath or filename, or save_last to false"
                )

    def _folder(self, trainer: Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"


def requeue_job() -> None:
    """Requeue this SLURM job, or this task of a job array; print a line if that fails."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"job {job} could not be requeued: {error}", file=sys.stderr)


def _names(trainer: Trainer) -> list[str]:
    """Class names of the callbacks with a state per process."""
    return [type(callback).__name__ for callback in process_callbacks(trainer)]
