"""The page of a match that a run leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pytorch_lightning import Trainer

from pearl_lightning.callbacks import EpisodeCollector
from pearl_lightning.derk.callbacks import MatchPage
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
from pearl_lightning.experience.data import MetaBatchDataModule
from tests.watching.small_matches import small_agent, small_env


@pytest.mark.slow
@pytest.mark.no_cover  # compiles the simulator, which would take twice as long
def test_the_page_shows_a_belief_that_changes_between_episodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = small_env(episode_ticks=80)
    agent = small_agent(env)
    trainer = Trainer(
        max_steps=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(tmp_path),
        callbacks=[EpisodeCollector(tasks_per_iteration=1), MatchPage(episodes=3, seed=5)],
    )
    trainer.fit(agent, MetaBatchDataModule(env, meta_batch=1, transitions=4))
    page = (tmp_path / "match.html").read_text(encoding="utf-8")
    episodes = json.loads(re.search(r"= (\{\"title\".*\});?\n", page)[1])["episodes"]  # type: ignore[index]
    means, widths = (np.array([episode[name] for episode in episodes]) for name in ("zMean", "zStd"))
    np.testing.assert_allclose(means[0], 0.0)  # the prior
    np.testing.assert_allclose(widths[0], 1.0)
    assert (np.abs(np.diff(means, axis=0)).max(axis=(1, 2)) > 0).all()
    assert (np.diff(widths.mean(axis=(1, 2))) < 0).all()  # a product of factors only narrows
    assert f"Match page: {tmp_path / 'match.html'}" in capsys.readouterr().out


def test_an_environment_without_matches_is_refused() -> None:
    trainer = SimpleNamespace(datamodule=MetaBatchDataModule(PointRobot(arenas=1, tasks=GoalTasks())))
    with pytest.raises(ValueError, match="MatchPage requires Derk's Gym, got PointRobot"):
        MatchPage().on_fit_start(trainer, None)  # type: ignore[arg-type]


def test_a_number_of_episodes_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        MatchPage(episodes=0)
