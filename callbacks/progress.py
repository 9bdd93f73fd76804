"""Progress bar of a run."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

from pearl_lightning.experience.data import env_data
from pearl_lightning.progress_bar import redraws_lines

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed} spent, {remaining} left{postfix}]"


class UpdateProgress(ProgressBar):
    """Shows updates, remaining time, environment steps and the last returns on one line.

    Args:
        seconds: Time in seconds between two redraws on a terminal or in a notebook, at least 0.
        log_seconds: Time in seconds between two lines if the output is a file or a pipe, at least 0.

    Raises:
        ValueError: A time is below 0.
    """

    def __init__(self, seconds: float = 0.5, log_seconds: float = 60.0) -> None:
        super().__init__()
        for name, value in (("seconds", seconds), ("log_seconds", log_seconds)):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        self.seconds, self.log_seconds = seconds, log_seconds
        self._enabled = True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_bounded = trainer.max_steps > 0
        self._bar = tqdm(
            desc="updates",
            total=trainer.max_steps if is_bounded else None,
            bar_format=_FORMAT if is_bounded else None,
            initial=trainer.global_step,
            mininterval=self.seconds if redraws_lines() else self.log_seconds,
            smoothing=0,  # remaining time by the mean speed of the run, because collections interrupt the updates
            disable=not self._enabled,
            dynamic_ncols=True,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(self.facts(trainer), refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    @staticmethod
    def facts(trainer: Trainer) -> str:
        """Environment steps and last returns as text."""
        progress = env_data(trainer).progress
        parts = [f"{progress.env_steps:,} env steps"]
        parts += [f"return_{kind} {value:.1f}" for kind, value in progress.returns.items()]
        returns = [float(v) for name, v in sorted(trainer.callback_metrics.items()) if "evaluation/return" in name]
        if returns:
            parts.append("validation returns " + " ".join(f"{value:.1f}" for value in returns))
        return ", ".join(parts)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
