"""Loggers with the methods of Lightning's W&B and MLflow loggers, which keep what they get."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only


class FakeLogger(Logger):
    """Keeps the hyperparameters; ``made`` lists every logger made, because the command line makes its own."""

    made: list[FakeLogger] = []

    def __init__(self) -> None:
        super().__init__()
        self.hyperparams: list[Any] = []
        self.metrics: list[tuple[int | None, dict[str, Any]]] = []
        self.made.append(self)

    @property
    def name(self) -> str:
        return "fake"

    @property
    def version(self) -> str:
        return "7"

    @property
    def save_dir(self) -> str:
        return "elsewhere"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.hyperparams.append(params)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.metrics.append((step, dict(metrics)))


class FakeWandb(FakeLogger):
    """Has the methods for media of ``WandbLogger``."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, list[Any], int | None, dict[str, Any]]] = []
        self.videos: list[tuple[str, list[Any], int | None, dict[str, Any]]] = []

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.images.append((key, images, step, kwargs))

    @rank_zero_only
    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.videos.append((key, videos, step, kwargs))


class FakeMlflowClient:
    """Has the methods for media of ``mlflow.MlflowClient``."""

    def __init__(self) -> None:
        self.figures: list[tuple[str, Any, str]] = []
        self.artifacts: list[tuple[str, str, bytes, str | None]] = []

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: dict[str, Any] | None = None
    ) -> None:
        self.figures.append((run_id, figure, artifact_file))

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        path = Path(local_path)
        self.artifacts.append((run_id, path.name, path.read_bytes(), artifact_path))


class FakeMlflow(FakeLogger):
    """Has the attributes of ``MLFlowLogger``."""

    def __init__(self) -> None:
        super().__init__()
        self.client = FakeMlflowClient()

    @property
    def experiment(self) -> FakeMlflowClient:
        return self.client

    @property
    def run_id(self) -> str:
        return "run-7"


class Unchangeable(FakeLogger):
    """Refuses settings, as MLflow does where its run already has others."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        raise RuntimeError("changing param values is not allowed")


class FakeComet(FakeLogger):
    """Has an ``experiment`` with a ``log_figure`` of another signature."""

    experiment = SimpleNamespace(log_figure=lambda figure_name, figure, step: 1 / 0)
