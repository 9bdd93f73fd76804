"""Loggers of a run: ``metrics.csv`` and TensorBoard events in the run's folder."""

from __future__ import annotations

import csv
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _convert_params, _flatten_dict
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from pearl_lightning.interrupts import ended_before_ctrl_c

BY_ENV_STEPS = ("collect/", "evaluation/")
"""Prefixes of the metrics that TensorBoard also shows over environment steps."""
COMPARED = "evaluation/gain"
"""Metric that TensorBoard lists beside the hyperparameters of runs."""


class MetricsCsv(Logger):
    """Writes ``metrics.csv`` with one row per logged step, immediately.

    It does not contain hyperparameters, which are in the run's ``config.yaml``.

    Args:
        folder: Folder of the run.
        first_step: First step of a resumed run, at least 0. Rows of an existing file from this step on are deleted,
            because the run writes them again.

    Raises:
        ValueError: The step is below 0.
    """

    def __init__(self, folder: str, first_step: int = 0) -> None:
        super().__init__()
        if first_step < 0:
            raise ValueError(f"first_step must be at least 0, got {first_step}")
        self.folder, self.first_step = Path(folder), first_step
        self.path = self.folder / "metrics.csv"
        self._columns: list[str] = []  # empty before the first row of this process

    @property
    def name(self) -> str:
        return ""  # Lightning's callbacks write to save_dir/name/version: the run's folder itself

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because hyperparameters are in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = {"step": 0 if step is None else step, **metrics}
        try:
            self._write(row)
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error}") from error

    def _write(self, row: dict[str, Any]) -> None:
        if not self._columns:
            self._keep_earlier_rows()
        new = [name for name in row if name not in self._columns]
        if new:
            rows = self._rows()
            self._columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(self._lines([row]))

    def _keep_earlier_rows(self) -> None:
        """Keep the rows that a resumed run had logged before its checkpoint, and delete the others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in self._rows() if int(row["step"]) < self.first_step]
        self._columns = list(rows[0]) if rows else ["step", "env_steps", "epoch"]
        self._rewrite(rows)

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        written = self.path.with_suffix(".csv.new")
        written.write_text(",".join(self._columns) + "\n" + self._lines(rows), newline="", encoding="utf-8")
        os.replace(written, self.path)  # atomic

    def _lines(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


class TensorBoardEvents(TensorBoardLogger):
    """Lightning's TensorBoard logger, with the event files in the run's folder itself.

    Collection and evaluation metrics are also logged over environment steps, as ``by_env_steps/...``. There is no
    ``hparams.yaml``, because the run has a ``config.yaml``. A run that fails before its first metric leaves no events.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder, name="", version="", default_hp_metric=False)
        self._has_metrics = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # SummaryWriter, which is slow to import
        is_new = self._experiment is None
        writer = super().experiment
        if is_new:  # its queue is emptied by a thread, and the end of a run waits for that
            events = writer._get_file_writer().event_writer
            for name in ("add_event", "flush", "close"):
                setattr(events, name, ended_before_ctrl_c(getattr(events, name)))
        return writer

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._has_metrics = True
        super().log_metrics(metrics, step)
        if "env_steps" in metrics:
            over_steps = {f"by_env_steps/{k}": value for k, value in metrics.items() if k.startswith(BY_ENV_STEPS)}
            super().log_metrics(over_steps, int(metrics["env_steps"]))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Fill TensorBoard's page of hyperparameters. Lightning's method would also log a metric that is always -1."""
        from torch.utils.tensorboard.summary import hparams  # slow to import

        values = self._sanitize_params(_flatten_dict(_convert_params(params)))
        for summary in hparams(values, {COMPARED: 0.0}):
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        if self._experiment is not None:
            self._experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        made = self._experiment.file_writer if self._experiment is not None else None
        super().finalize(status)
        if status == "failed" and made is not None and not self._has_metrics:
            # Lightning creates the file before the checks that failed
            Path(made.event_writer._file_name).unlink(missing_ok=True)
