"""When which tasks are played, what is kept and written, and that evaluating changes no run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from environments import FEATURES, HORIZON, SPACE, CountingEnv, NumberedTasks
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import CSVLogger

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector
from pearl_lightning.evaluation import Evaluation, evaluate_adaptation
from pearl_lightning.experience.data import MetaBatchDataModule, env_data

UPDATES = 4
PLAYED: dict[str, Any] = {"episodes": 2, "matches": 2, "figures": False}

pytestmark = pytest.mark.slow


def history(trainer: Trainer) -> list[Evaluation]:
    return env_data(trainer).progress.history


def fit(folder: Path, *callbacks: Callback, order: int = 1) -> tuple[PEARL, CountingEnv, Trainer]:
    """Four updates with a validation after the second and the fourth; ``order`` -1 puts the collector first."""
    torch.manual_seed(0)
    env = CountingEnv()
    collector = EpisodeCollector(every_n_updates=2, tasks_per_iteration=4)
    trainer = Trainer(
        max_steps=UPDATES,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        accelerator="cpu",
        logger=CSVLogger(str(folder), name="run", version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[*callbacks, collector][::order],
    )
    pearl = PEARL(FEATURES, SPACE)
    trainer.fit(pearl, MetaBatchDataModule(env, meta_batch=2, transitions=4, updates_per_epoch=10))
    return pearl, env, trainer


@pytest.mark.parametrize("order", [1, -1])
def test_an_evaluation_is_made_before_the_first_update_and_at_every_validation(tmp_path: Path, order: int) -> None:
    pearl, _, trainer = fit(tmp_path, AdaptationEvaluation(**PLAYED), order=order)
    points = history(trainer)
    assert [point.update for point in points] == [0, 2, 4]
    tasks = CountingEnv().tasks.validation_indices
    torch.manual_seed(0)
    untrained = PEARL(FEATURES, SPACE)
    for agent, point in ((untrained, points[0]), (pearl, points[-1])):
        expected = evaluate_adaptation(CountingEnv(), agent, tasks, episodes=2, matches=2).table()
        assert point.table == expected


def test_evaluation_steps_are_counted_apart_from_those_collected(tmp_path: Path) -> None:
    _, env, trainer = fit(tmp_path, AdaptationEvaluation(**PLAYED))
    progress = env_data(trainer).progress
    one = 2 * 4 * 2 * HORIZON  # 3 tasks x 2 matches in 4 arenas are two rounds of two episodes
    assert progress.evaluation_env_steps == 3 * one
    iteration = 3 * 4 * HORIZON
    assert [point.env_steps for point in progress.history] == [0, 2 * iteration, 2 * iteration]
    assert env.played_steps == 3 * one + 2 * iteration
    assert trainer.callback_metrics["evaluation/env_steps"] == progress.evaluation_env_steps


@pytest.mark.parametrize("deterministic", [False, True])
def test_evaluating_changes_no_run(tmp_path: Path, deterministic: bool) -> None:
    plain, env, _ = fit(tmp_path / "plain")
    evaluated, env_evaluated, _ = fit(
        tmp_path / "evaluated", AdaptationEvaluation(deterministic=deterministic, figures=False)
    )
    for ours, theirs in zip(plain.parameters(), evaluated.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    train = [begun for begun in env_evaluated.begun if max(begun) < 6]
    assert train == env.begun


def test_history_and_pictures_are_written_into_the_runs_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = AdaptationEvaluation(episodes=2, matches=2)
    _, _, trainer = fit(tmp_path, evaluation)
    folder = tmp_path / "run"
    entries = [point.to_json() for point in history(trainer)]
    assert json.loads((folder / "adaptation.json").read_text()) == {"history": entries}
    for name in ("adaptation.png", "curve.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert "gain, last minus first" in capsys.readouterr().out


def test_without_figures_the_history_is_the_same_and_nothing_is_drawn(tmp_path: Path) -> None:
    drawing, silent = AdaptationEvaluation(episodes=2, matches=2), AdaptationEvaluation(**PLAYED)
    trainers = [fit(tmp_path / name, each)[2] for name, each in (("drawing", drawing), ("silent", silent))]
    assert history(trainers[0]) == history(trainers[1])
    assert list((tmp_path / "drawing").rglob("*.png"))
    assert not list((tmp_path / "silent").rglob("*.png"))


def test_metrics_carry_every_episode_index_and_are_logged_before_the_first_update(tmp_path: Path) -> None:
    _, _, trainer = fit(tmp_path, AdaptationEvaluation(**PLAYED))
    table = history(trainer)[-1].table
    for row in table.episodes:
        for metric, entry in (("return", "return_mean"), ("win_rate",) * 2, ("z_std",) * 2, ("coverage",) * 2):
            logged = trainer.callback_metrics[f"evaluation/{metric}_{row.episode}"]
            assert float(logged) == pytest.approx(getattr(row, entry), rel=1e-5)
    assert float(trainer.callback_metrics["evaluation/gain"]) == pytest.approx(table.gain.mean, rel=1e-5)
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column, step = (lines[0].split(",").index(name) for name in ("evaluation/return_1", "step"))
    logged = [row.split(",") for row in lines[1:] if row.split(",")[column]]
    assert len(logged) == 3
    assert int(logged[0][step]) == 0
    first = history(trainer)[0].table.episodes[1].return_mean
    assert float(logged[0][column]) == pytest.approx(first, rel=1e-5)


def test_history_goes_through_a_checkpoint(tmp_path: Path) -> None:
    evaluation = AdaptationEvaluation(**PLAYED)
    pearl, env, trainer = fit(tmp_path, evaluation)
    progress, path = env_data(trainer).progress, tmp_path / "state.pt"
    torch.save(evaluation.state_dict(), path)
    resumed = MetaBatchDataModule(env, meta_batch=2, transitions=4)
    trainer.datamodule = resumed  # type: ignore[attr-defined]
    evaluation.setup(trainer, pearl, "fit")
    evaluation.load_state_dict(torch.load(path, weights_only=True))
    assert resumed.progress.history == progress.history
    assert resumed.progress.evaluation_env_steps == progress.evaluation_env_steps > 0


class AnotherEvaluation(AdaptationEvaluation):
    """Lightning itself refuses two callbacks of one class."""


def test_two_evaluations_are_refused_because_a_run_has_one_history(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="callbacks must contain only one AdaptationEvaluation"):
        fit(tmp_path, AdaptationEvaluation(**PLAYED), AnotherEvaluation(**PLAYED))


def test_the_test_split_is_played_by_the_test_loop_only(tmp_path: Path) -> None:
    evaluation = AdaptationEvaluation(**PLAYED)
    pearl, env, trainer = fit(tmp_path, evaluation)
    tasks = env.tasks
    assert not {task for begun in env.begun for task in begun} & {*tasks.test}
    trainer.test(pearl, trainer.datamodule, verbose=False)
    assert {task for begun in env.begun[-4:] for task in begun} == {*tasks.test}
    expected = evaluate_adaptation(CountingEnv(), pearl, tasks.test_indices, episodes=2, matches=2).table()
    assert evaluation.last is not None
    assert evaluation.last.table() == expected
    assert [point.update for point in history(trainer)] == [0, 2, 4]


def test_an_environment_without_validation_tasks_is_refused(tmp_path: Path) -> None:
    env = CountingEnv(tasks=NumberedTasks(validation_tasks=0))
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        callbacks=[AdaptationEvaluation(), EpisodeCollector(tasks_per_iteration=4)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(ValueError, match="requires validation tasks, but NumberedTasks has none"):
        trainer.fit(PEARL(FEATURES, SPACE), MetaBatchDataModule(env, meta_batch=2, transitions=4))


@pytest.mark.parametrize("name", ["episodes", "matches"])
def test_numbers_below_one_are_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        AdaptationEvaluation(**settings)
