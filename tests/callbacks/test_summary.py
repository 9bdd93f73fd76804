"""The summary at the end of a run: its counts, the environment's facts, and seconds that go on after a resume."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from environments import FEATURES, HORIZON, SPACE, CountingEnv
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, RunSummary
from pearl_lightning.callbacks.summary import split
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.experience.data import MetaBatchDataModule


class ReportingEnv(CountingEnv):
    def report(self) -> dict[str, str | int]:
        return {"renderer": "pencil", "restarts": 3}


def test_the_summary_counts_what_was_played_and_repeats_the_environments_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    env = ReportingEnv()
    collector = EpisodeCollector(every_n_updates=2, tasks_per_iteration=4, rl_episodes=0)
    trainer = Trainer(
        max_steps=4,
        accelerator="cpu",
        logger=CSVLogger(str(tmp_path), name="run", version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[collector, RunSummary()],
    )
    data = MetaBatchDataModule(env, meta_batch=2, transitions=4, updates_per_epoch=10)
    trainer.fit(PEARL(FEATURES, SPACE), data)
    facts: dict[str, Any] = json.loads((tmp_path / "run" / "summary.json").read_text())
    episodes = 2 * 2 * env.arenas  # two iterations of a prior and a posterior episode; none after the last update
    seconds, parts = facts.pop("seconds"), facts.pop("seconds_by_part")
    assert parts.keys() == {"collection", "evaluation", "checkpoints", "updates"}
    assert sum(parts.values()) == pytest.approx(seconds, abs=0.3)  # each is rounded
    assert (parts["evaluation"], parts["checkpoints"]) == (0, 0)  # nobody does either
    assert facts.pop("versions")["torch"] == torch.__version__
    assert facts.pop("hardware")["cores"] == os.cpu_count()
    assert facts == {
        "updates": 4,
        "iterations": 2,
        "episodes": episodes,
        "env_steps": episodes * HORIZON,
        "transitions": episodes * HORIZON * env.agents,
        "renderer": "pencil",
        "restarts": 3,
    }
    printed = capsys.readouterr().out
    for name, value in facts.items():
        assert f"{name}  {value}" in printed


class CompiledEnv(CountingEnv):
    """Claims that it spent half a minute on compilation."""

    def prepare(self) -> float:
        assert not self.begun
        return 30.0


def test_compilation_is_a_part_of_its_own_before_the_clock_starts(tmp_path: Path) -> None:
    summary, resumed = RunSummary(), RunSummary()
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=CSVLogger(str(tmp_path), name="run", version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[EpisodeCollector(tasks_per_iteration=4), AdaptationEvaluation(episodes=1, matches=1), summary],
    )
    trainer.fit(PEARL(FEATURES, SPACE), MetaBatchDataModule(CompiledEnv(), meta_batch=2, transitions=4))
    facts: dict[str, Any] = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    parts = facts["seconds_by_part"]
    assert parts["compilation"] == 30.0
    assert 30 < facts["seconds"] < 60
    assert parts["evaluation"] < 30
    assert sum(parts.values()) == pytest.approx(facts["seconds"], abs=0.3)
    resumed.load_state_dict(summary.state_dict())
    assert resumed.state_dict()["parts"]["compilation"] == 30.0  # loaded from the cache, this time


def test_the_seconds_of_a_resumed_run_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.0, 500.0, 503.0])
    monkeypatch.setattr("pearl_lightning.callbacks.summary.time.monotonic", lambda: next(clock))
    first, second = RunSummary(), RunSummary()
    first.on_fit_start(None, None)  # type: ignore[arg-type]
    state = first.state_dict()
    second.load_state_dict(state)
    second.on_fit_start(None, None)  # type: ignore[arg-type]
    assert (state["seconds"], second.state_dict()["seconds"]) == (7.0, 10.0)


class Sleeper:
    """Work that advances a clock by a given time."""

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock

    @timed("sleep")
    def work(self, trainer: Trainer, seconds: float, fails: bool = False) -> float:
        self.clock[0] += seconds
        if fails:
            raise OSError("the work failed")
        return seconds


def test_timed_work_is_added_up_also_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [50.0]
    monkeypatch.setattr("pearl_lightning.callbacks.timing.time.monotonic", lambda: clock[0])
    first, other = Sleeper(clock), Sleeper(clock)
    data = MetaBatchDataModule(CountingEnv())
    trainer: Any = SimpleNamespace(datamodule=data)
    assert first.work(trainer, 3.0) == 3.0
    with pytest.raises(OSError, match="the work failed"):
        other.work(trainer, seconds=2.0, fails=True)
    assert data.progress.seconds == {"sleep": 5.0}


def test_what_each_part_took_is_added_up_over_a_resume() -> None:
    data = MetaBatchDataModule(CountingEnv())
    trainer: Any = SimpleNamespace(datamodule=data)
    summaries = RunSummary(), RunSummary()
    for summary, seconds in zip(summaries, (4.0, 1.5), strict=True):
        summary.setup(trainer, PEARL(FEATURES, SPACE), "fit")
        if summary is summaries[1]:
            summary.load_state_dict(summaries[0].state_dict())
        summary.on_fit_start(trainer, PEARL(FEATURES, SPACE))
        assert not data.progress.seconds
        data.progress.seconds["collection"] = seconds
    assert summaries[1].state_dict()["parts"] == {"collection": 5.5, "evaluation": 0.0, "checkpoints": 0.0}


def test_the_updates_have_what_no_part_took() -> None:
    assert split(10.0, {"collection": 6.0, "evaluation": 1.0}) == {"collection": 6.0, "evaluation": 1.0, "updates": 3.0}
    assert split(1.0, {"collection": 1.1})["updates"] == 0  # clocks are read one after the other
