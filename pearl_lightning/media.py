"""Figures and clips for all loggers that support them.

Lightning's loggers have no common method for media, so a logger is recognized by the methods that it has:

* TensorBoard: ``experiment`` is a ``SummaryWriter``.
* Weights & Biases: the logger has ``log_image`` and ``log_video``.
* MLflow: the logger has a ``run_id``, and ``experiment`` is an ``MlflowClient``.

Other loggers are skipped.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only


def takes_figures(logger: Logger) -> bool:
    """Whether ``log_figure`` sends anything to this logger."""
    return _kind(logger) is not None


@rank_zero_only
def log_figure(loggers: Iterable[Logger], name: str, figure: Figure, step: int) -> None:
    """Send a figure to every logger that supports figures.

    Args:
        loggers: Loggers of the trainer.
        name: Name of the series of figures, such as ``evaluation/belief``.
        figure: The figure; it is not closed.
        step: Update that the figure belongs to, as in ``Logger.log_metrics``.
    """
    logger: Any
    for logger in loggers:
        match _kind(logger):
            case "wandb":
                logger.log_image(name, [_image(figure)], step=step)
            case "mlflow":
                logger.experiment.log_figure(logger.run_id, figure, f"{name}/{step:08d}.png")
            case "tensorboard":
                logger.experiment.add_figure(name, figure, step, close=False)


@rank_zero_only
def log_clip(loggers: Iterable[Logger], name: str, gif_bytes: bytes, step: int) -> None:
    """Send an animation to every logger that supports clips.

    Args:
        loggers: Loggers of the trainer.
        name: Name of the series of clips.
        gif_bytes: Content of the animation's GIF file.
        step: Update that the clip belongs to, as in ``Logger.log_metrics``.
    """
    logger: Any
    for logger in loggers:
        match _kind(logger):
            case "wandb":
                logger.log_video(name, [io.BytesIO(gif_bytes)], step=step, format=["gif"])
            case "mlflow":
                _log_file(logger, name, f"{step:08d}.gif", gif_bytes)
            case "tensorboard":
                _add_animation(logger.experiment, name, gif_bytes, step)


def _kind(logger: Logger) -> Literal["wandb", "mlflow", "tensorboard"] | None:
    """Kind of a logger, recognized by its methods; None if it supports neither figures nor clips."""
    if hasattr(logger, "log_image") and hasattr(logger, "log_video"):
        return "wandb"
    experiment = getattr(logger, "experiment", None)
    if hasattr(logger, "run_id") and hasattr(experiment, "log_figure") and hasattr(experiment, "log_artifact"):
        return "mlflow"
    return "tensorboard" if hasattr(experiment, "add_figure") else None


def _image(figure: Figure) -> Image.Image:
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return Image.open(png)


def _log_file(logger: Any, folder: str, name: str, content: bytes) -> None:
    """Log bytes to MLflow, which accepts artifacts as files only."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / name
        path.write_bytes(content)
        logger.experiment.log_artifact(logger.run_id, str(path), folder)


def _add_animation(writer: Any, name: str, gif: bytes, step: int) -> None:
    """Log an animation as an encoded image, which TensorBoard shows as it is. ``add_video`` would need moviepy."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(encoded_image_string=gif)  # the browser reads its size
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
