"""Which loggers get figures and clips, and in which form."""

from __future__ import annotations

import inspect
import io
from pathlib import Path
from typing import Any

import pytest
from fake_loggers import FakeComet, FakeMlflow, FakeMlflowClient, FakeWandb
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pearl_lightning.loggers import MetricsCsv, TensorBoardEvents
from pearl_lightning.media import log_clip, log_figure, takes_figures


@pytest.fixture
def figure() -> Figure:
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([0, 1])
    return figure


@pytest.fixture
def clip() -> bytes:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    content = io.BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:])
    return content.getvalue()


def test_tensorboard_gets_figures_and_clips(tmp_path: Path, figure: Figure, clip: bytes) -> None:
    loggers = {"ours": TensorBoardEvents(str(tmp_path / "ours")), "lightnings": TensorBoardLogger(tmp_path)}
    log_figure(loggers.values(), "evaluation/belief", figure, 3)
    log_clip(loggers.values(), "match", clip, 4)
    for logger in loggers.values():
        logger.finalize("success")
        events = EventAccumulator(logger.log_dir).Reload()
        (drawn,), (played,) = events.Images("evaluation/belief"), events.Images("match")
        assert drawn.step == 3
        assert Image.open(io.BytesIO(drawn.encoded_image_string)).size == (100, 50)
        assert (played.step, played.encoded_image_string) == (4, clip)


def test_wandb_gets_images_and_videos(figure: Figure, clip: bytes) -> None:
    logger = FakeWandb()
    log_figure([logger], "evaluation/belief", figure, 3)
    log_clip([logger], "match", clip, 4)
    ((name, (image,), step, options),) = logger.images
    assert (name, image.size, step, options) == ("evaluation/belief", (100, 50), 3, {})
    ((name, (video,), step, options),) = logger.videos
    assert (name, video.read(), step, options) == ("match", clip, 4, {"format": ["gif"]})


def test_mlflow_gets_artifacts_of_its_run(figure: Figure, clip: bytes) -> None:
    logger = FakeMlflow()
    log_figure([logger], "evaluation/belief", figure, 3)
    log_clip([logger], "match", clip, 4)
    assert logger.client.figures == [("run-7", figure, "evaluation/belief/00000003.png")]
    assert logger.client.artifacts == [("run-7", "00000004.gif", clip, "match")]


def test_other_loggers_are_skipped(tmp_path: Path, figure: Figure, clip: bytes) -> None:
    loggers = [MetricsCsv(str(tmp_path / "ours")), CSVLogger(tmp_path / "lightnings"), FakeComet()]
    assert not any(map(takes_figures, loggers))
    log_figure(loggers, "evaluation/belief", figure, 3)
    log_clip(loggers, "match", clip, 4)


def test_only_the_first_process_logs_media(figure: Figure, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = FakeMlflow()
    log_figure([logger], "evaluation/belief", figure, 3)
    log_clip([logger], "match", clip, 4)
    assert not logger.client.figures
    assert not logger.client.artifacts


@pytest.mark.parametrize(
    ("fake", "real", "method"),
    [(FakeWandb, WandbLogger, name) for name in ("log_image", "log_video", "log_hyperparams")]
    + [(FakeMlflow, MLFlowLogger, "log_hyperparams")],
)
def test_the_fakes_take_what_lightnings_loggers_take(fake: type[Logger], real: type[Logger], method: str) -> None:
    def parameters(logger: type[Logger]) -> list[tuple[str, Any, Any]]:
        signature = inspect.signature(inspect.unwrap(getattr(logger, method)))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(fake) == parameters(real)


def test_lightnings_mlflow_logger_has_the_attributes_it_is_recognized_by() -> None:
    assert all(isinstance(getattr(MLFlowLogger, name), property) for name in ("experiment", "run_id"))


def test_the_fake_client_takes_what_mlflows_client_takes() -> None:
    mlflow = pytest.importorskip("mlflow")
    for method in ("log_figure", "log_artifact"):
        real, fake = (
            inspect.signature(getattr(client, method)).parameters for client in (mlflow.MlflowClient, FakeMlflowClient)
        )
        assert list(fake) == list(real)
