"""The summary at the end of a run: its counts, the world's facts, and seconds that go on after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from worlds import FEATURES, HORIZON, SPACE, CountingWorld

from pearl_lightning.callbacks import EpisodeCollector, RunSummary
from pearl_lightning.data import MetaBatchDataModule
from pearl_lightning.pearl import PEARL


class ReportingWorld(CountingWorld):
    def report(self) -> dict[str, str | int]:
        return {"renderer": "pencil", "restarts": 3}


def test_the_summary_counts_what_was_played_and_repeats_the_worlds_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    env = ReportingWorld()
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
    assert facts.pop("seconds") >= 0
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


def test_the_seconds_of_a_resumed_run_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.0, 500.0, 503.0])
    monkeypatch.setattr("pearl_lightning.callbacks.summary.time.monotonic", lambda: next(clock))
    first, second = RunSummary(), RunSummary()
    first.on_fit_start(None, None)  # type: ignore[arg-type]
    state = first.state_dict()
    second.load_state_dict(state)
    second.on_fit_start(None, None)  # type: ignore[arg-type]
    assert (state["seconds"], second.state_dict()["seconds"]) == (7.0, 10.0)
