"""Which loggers a run has, and what they get: the whole config, the metrics, the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fake_loggers import FakeLogger, FakeMlflow, FakeWandb

from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

Fit = Callable[..., int]


@pytest.fixture
def fit(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """``pearl fit`` of two updates with one validation, in an empty folder; ``FakeLogger.made`` starts empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FakeLogger, "made", [])
    settings = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2"]
    return lambda *options: main(["fit", "--config", str(tiny_config), *settings, *options])


def names(folder: str = "runs/tiny") -> set[str]:
    """Names of the files in a run's folder, with ``events.out`` for TensorBoard's file."""
    return {path.name.partition(".tfevents.")[0] for path in Path(folder).iterdir()}


def written(folder: str = "runs/tiny") -> set[str]:
    """The files of metrics."""
    return names(folder) & {"metrics.csv", "events.out"}


REST = {"config.yaml", "checkpoints", "tasks.json", "adaptation.json"}
CSV, TENSORBOARD = ["--log_csv", "false"], ["--log_tensorboard", "false"]


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ([], {"metrics.csv", "events.out"}),
        (TENSORBOARD, {"metrics.csv"}),
        (CSV, {"events.out"}),
        (CSV + TENSORBOARD, set()),
        (["--trainer.logger", "false"], set()),
    ],
)
def test_each_of_the_runs_own_loggers_can_be_left_out(fit: Fit, options: list[str], files: set[str]) -> None:
    assert fit(*options) == 0
    assert written() == files
    assert names() >= REST


@pytest.mark.parametrize(
    ("options", "files"), [([], {"metrics.csv", "events.out"}), (CSV, {"events.out"}), (CSV + TENSORBOARD, set())]
)
def test_a_users_logger_stands_beside_the_runs_own_or_alone(fit: Fit, options: list[str], files: set[str]) -> None:
    assert fit("--trainer.logger", "fake_loggers.FakeWandb", *options) == 0
    assert written() == files
    (logger,) = FakeLogger.made
    assert [step for step, metrics in logger.metrics if "evaluation/gain" in metrics] == [0, 1]
    assert names() >= REST
    assert {path.name for path in Path().iterdir()} == {"runs"}  # nothing in the logger's own folder


def test_the_saved_config_has_the_same_loggers_again(fit: Fit) -> None:
    assert fit("--trainer.logger", "fake_loggers.FakeWandb", *CSV) == 0
    assert fit("--config", "runs/tiny/config.yaml") == 0
    assert written("runs/tiny-2") == {"events.out"}
    assert [type(logger) for logger in FakeLogger.made] == [FakeWandb, FakeWandb]


def test_every_logger_gets_the_whole_config_and_every_figure(fit: Fit, tiny_config: Path) -> None:
    overlay = yaml.safe_load(tiny_config.read_text().replace("figures: false", "figures: true"))
    overlay["trainer"] = {
        "logger": [{"class_path": f"fake_loggers.{fake.__name__}"} for fake in (FakeWandb, FakeMlflow)],
    }
    Path("overlay.yaml").write_text(yaml.safe_dump(overlay))
    assert fit("--config", "overlay.yaml") == 0
    wandb, mlflow = FakeLogger.made
    assert isinstance(wandb, FakeWandb)
    assert isinstance(mlflow, FakeMlflow)
    config = yaml.safe_load(Path("runs/tiny/config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 2
    assert wandb.hyperparams == mlflow.hyperparams == [config]
    drawn = [(name, step) for name, _, step, _ in wandb.images]
    assert drawn == [(f"evaluation/{name}", step) for step in (0, 1) for name in ("adaptation", "belief")]
    assert [file for _, _, file in mlflow.client.figures] == [f"{name}/{step:08d}.png" for name, step in drawn]


def test_a_resumed_run_sends_the_config_that_it_resumes_with(fit: Fit) -> None:
    assert fit() == 0
    last = "runs/tiny/checkpoints/last.ckpt"
    options = ["--trainer.logger", "fake_loggers.FakeWandb", "--trainer.max_steps", "3"]
    assert fit("--ckpt_path", last, *options) == 0
    (logger,) = FakeLogger.made
    (config,) = logger.hyperparams
    assert config == yaml.safe_load(Path("runs/tiny/config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 3
    assert written() == {"metrics.csv", "events.out"}


def test_a_logger_that_refuses_the_settings_stops_a_new_run_and_not_a_resumed_one(fit: Fit) -> None:
    refusing = ["--trainer.logger", "fake_loggers.Unchangeable"]
    assert fit(*refusing) == 1
    assert not list(Path("runs").iterdir())
    assert fit() == 0
    with pytest.warns(UserWarning, match="Unchangeable did not take the settings of the resumed run: changing param"):
        assert fit("--ckpt_path", "runs/tiny/checkpoints/last.ckpt", "--trainer.max_steps", "3", *refusing) == 0
