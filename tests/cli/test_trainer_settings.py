"""Settings of Lightning's trainer have their documented effect in a run, or are refused with advice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from environments import FEATURES, SPACE, CountingEnv
from pytorch_lightning import Trainer

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, ReplayCheckpoint, RunSummary
from pearl_lightning.cli import main
from pearl_lightning.experience.data import MetaBatchDataModule

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

Fit = Callable[..., int]
ONE_UPDATE = ["--trainer.max_steps", "1", "--trainer.val_check_interval", "100"]


@pytest.fixture
def fit(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """``pearl fit`` of a single update in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *options: main(["fit", "--config", str(tiny_config), *ONE_UPDATE, *options])


def refused(fit: Fit, capfd: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line of a run that is refused and leaves nothing."""
    assert fit(*options) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert not list(Path("runs").glob("*"))
    return line.removeprefix("pearl: error: ")


@pytest.mark.parametrize("value", ["true", "null", "[]"])
def test_a_default_logger_writes_the_metrics_as_if_it_was_left_out(fit: Fit, value: str) -> None:
    assert fit() == 0
    assert fit("--trainer.logger", value) == 0
    first, second = (Path("runs", name, "metrics.csv").read_text() for name in ("tiny", "tiny-2"))
    assert first == second


def test_no_logger_writes_no_metrics(fit: Fit) -> None:
    assert fit("--trainer.logger", "false") == 0
    assert not Path("runs/tiny/metrics.csv").exists()
    assert Path("runs/tiny/checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("as_list", [False, True])
def test_a_users_logger_writes_beside_ours(fit: Fit, as_list: bool) -> None:
    logger = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "csv"}}
    Path("logger.yaml").write_text(yaml.safe_dump({"trainer": {"logger": [logger] if as_list else logger}}))
    assert fit("--config", "logger.yaml") == 0
    assert Path("runs/tiny/metrics.csv").exists()
    assert list(Path("csv").rglob("metrics.csv"))


@pytest.mark.parametrize("others", [[], ["--checkpoint=null"], ["--evaluation=null"]])
def test_a_training_without_a_collector_is_refused_before_an_episode(
    fit: Fit, others: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pearl_lightning.experience.rollout._play_once", lambda *_: pytest.fail("an episode was played")
    )
    assert fit("--collector=null", *others, "--trainer.logger", "false") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line == (
        "pearl: error: nothing was collected to learn from, because no collector fills the data: set collector to "
        "EpisodeCollector"
    )


@pytest.mark.parametrize(
    ("bar", "by", "enabled"),
    [
        ("pearl_lightning.callbacks.UpdateProgress", "option", "true"),
        ("pearl_lightning.callbacks.UpdateProgress", "config", "false"),
        ("TQDMProgressBar", "option", "false"),
        ("pytorch_lightning.callbacks.TQDMProgressBar", "config", "true"),
        ("probes.OwnProgress", "option", "true"),
    ],
)
def test_a_progress_bar_among_the_callbacks_takes_the_default_ones_place(
    fit: Fit, bar: str, by: str, enabled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[str] = []
    set_up = AdaptationEvaluation.setup

    def note(evaluation: AdaptationEvaluation, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        bars.append(type(trainer.progress_bar_callback).__name__)
        set_up(evaluation, trainer, *arguments, **named)

    monkeypatch.setattr(AdaptationEvaluation, "setup", note)
    options = [f"--trainer.callbacks+={bar}"]
    if by == "config":
        Path("bar.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": bar}]}}))
        options = ["--config", "bar.yaml"]
    assert fit(*options, "--trainer.enable_progress_bar", enabled) == 0
    assert bars == [bar.rpartition(".")[2]]


@pytest.mark.parametrize("by", ["config", "option"])
def test_another_root_folder_is_refused_by_the_setting_that_moves_runs(
    fit: Fit, by: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("root.yaml").write_text("trainer: {default_root_dir: elsewhere}")
    options = ["--config", "root.yaml"] if by == "config" else ["--trainer.default_root_dir", "elsewhere"]
    line = refused(fit, capfd, *options)
    assert line.startswith("trainer.default_root_dir must not be set, ")
    assert "--runs_dir" in line
    assert line.endswith("got elsewhere")
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--trainer.gradient_clip_val=1.0", "set model.optimizers.gradient_clip_norm instead, got 1.0"),
        ("--trainer.gradient_clip_algorithm=value", "set model.optimizers.gradient_clip_norm instead, got value"),
        ("--trainer.accumulate_grad_batches=4", "one batch is one update: use larger batches, got 4"),
    ],
)
def test_settings_that_the_updates_do_not_follow_are_refused_in_our_words(
    fit: Fit, option: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    line = refused(fit, capfd, option)
    assert line.startswith(f"{option.removeprefix('--').partition('=')[0]} must not be set")
    assert line.endswith(told)
    assert "automatic optimization" not in line


def test_an_accumulating_callback_is_refused_as_the_setting_is(fit: Fit, capfd: pytest.CaptureFixture[str]) -> None:
    callback = ["--trainer.callbacks+=GradientAccumulationScheduler", "--trainer.callbacks.scheduling={0: 2}"]
    assert refused(fit, capfd, *callback).startswith("GradientAccumulationScheduler must not be set")


@pytest.mark.parametrize("value", ["true", "2"])
def test_a_trial_run_leaves_nothing(
    fit: Fit, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    options = ["--trainer.callbacks+=ModelCheckpoint", "--summary=RunSummary"]
    assert fit("--trainer.fast_dev_run", value, *options) == 0
    assert not list(Path().iterdir())
    assert not list(scratch.iterdir())


def test_a_trial_run_that_fails_leaves_nothing(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for options in (
        ["--model.sac.discount=7"],
        ["--trainer.callbacks+=probes.CrashAfter", "--trainer.callbacks.updates=0"],
    ):
        assert fit("--trainer.fast_dev_run", "true", *options) == 1
    assert not list(Path().iterdir())
    assert not list(scratch.iterdir())


def test_a_trial_run_in_python_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with ``logger=False``, with which Lightning gives callbacks its root folder to write to."""
    monkeypatch.chdir(tmp_path)
    collector = EpisodeCollector(tasks_per_iteration=4)
    callbacks = [AdaptationEvaluation(), collector, ReplayCheckpoint(), RunSummary()]
    trainer = Trainer(fast_dev_run=2, logger=False, enable_model_summary=False, accelerator="cpu", callbacks=callbacks)
    trainer.fit(PEARL(FEATURES, SPACE), MetaBatchDataModule(CountingEnv(), meta_batch=2, transitions=4))
    assert trainer.global_step == 2
    assert not list(tmp_path.iterdir())
