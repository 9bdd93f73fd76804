"""Where a run's metrics go: ``metrics.csv`` and TensorBoard events in the run's folder."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

BY_ENV_STEPS = ("collect/", "evaluation/")
"""Metrics that TensorBoard also draws over environment steps."""


class RunLogger(Logger):
    """A logger that writes into the run's folder; hyperparameters are left to the run's ``config.yaml``.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: they are in ``config.yaml``."""


class MetricsCsv(RunLogger):
    """``metrics.csv``: a row per logged step, on disk at once. A resumed run goes on in the file it finds.

    Args:
        folder: The run's folder.
        first_step: Rows of a file found there are kept below this step: a resumed run writes the others again.
    """

    def __init__(self, folder: str, first_step: int = 0) -> None:
        super().__init__(folder)
        if first_step < 0:
            raise ValueError(f"first_step must be at least 0, got {first_step}")
        self.first_step = first_step
        self.path = self.folder / "metrics.csv"
        self._columns: list[str] = []  # none before the first row of this process

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = {"step": 0 if step is None else step, **metrics}
        try:
            self._write(row)
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error}") from error

    def _write(self, row: dict[str, Any]) -> None:
        if not self._columns:
            self._take_up()
        new = [name for name in row if name not in self._columns]
        if new:
            rows = self._rows()
            self._columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            file.write(self._lines([row]))

    def _take_up(self) -> None:
        """Keep what a resumed run had logged before its checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in self._rows() if int(row["step"]) < self.first_step]
        self._columns = list(rows[0]) if rows else ["step", "env_steps", "epoch"]
        self._rewrite(rows)

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        written = self.path.with_suffix(".csv.new")
        written.write_text(",".join(self._columns) + "\n" + self._lines(rows), newline="")
        os.replace(written, self.path)  # whole at every moment

    def _lines(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


class TensorBoardEvents(RunLogger):
    """TensorBoard events over updates; collection and evaluation also over environment steps, as ``by_env_steps/...``.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._writer: Any = None

    def writer(self) -> Any:
        """TensorBoard's, made on first use."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(self.save_dir)
        return self._writer

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Show a figure among the run's images."""
        self.writer().add_figure(name, figure, step, close=False)

    @rank_zero_only
    def log_animation(self, name: str, gif: bytes, step: int) -> None:
        """Play an animation among the run's images."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        image = Summary.Image(encoded_image_string=gif)  # the browser reads its size
        self.writer().file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.writer().add_scalar(name, value, step)
            if "env_steps" in metrics and name.startswith(BY_ENV_STEPS):
                self.writer().add_scalar(f"by_env_steps/{name}", value, int(metrics["env_steps"]))

    @rank_zero_only
    def save(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
