"""Counts and evaluations of a run: what a checkpoint keeps, and whose they are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from environments import FEATURES, SPACE, CountingEnv

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.evaluation import AdaptationTable, EpisodeRow, Evaluation, Interval
from pearl_lightning.experience.data import EnvDataModule, MetaBatchDataModule
from pearl_lightning.experience.progress import COUNTS, Progress, summed_counts


def evaluation(update: int, episodes: int) -> Evaluation:
    rows = tuple(EpisodeRow(episode, 1.0, 1.0, 0.0, 2.0) for episode in range(episodes))
    gain = Interval(0.0, 0.0, 0.0)
    table = AdaptationTable(tasks=1, matches_per_task=2, env_steps=3, episodes=rows, gain=gain)
    return Evaluation(update, 10 * update, table)


def test_what_was_collected_goes_through_a_checkpoint_and_evaluations_stay(tmp_path: Path) -> None:
    progress = Progress(iterations=1, episodes=2, env_steps=30, transitions=90, returns={"prior": -1.5})
    torch.save(progress.collected(), tmp_path / "state.pt")
    resumed = Progress(history=[evaluation(0, 2)], evaluation_env_steps=7)
    resumed.load_collected(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.counts() == progress.counts() == dict(zip(COUNTS, (1, 2, 30, 90), strict=True))
    assert resumed.returns == progress.returns
    assert (resumed.history, resumed.evaluation_env_steps) == ([evaluation(0, 2)], 7)


def test_counts_of_an_earlier_version_are_those_of_its_collectors_together() -> None:
    states = [dict.fromkeys(COUNTS, 2) | {"queue": torch.zeros(1)}, dict.fromkeys(COUNTS, 3), {"snapshots": []}]
    progress = Progress()
    progress.load_collected(summed_counts(states))
    assert progress.counts() == dict.fromkeys(COUNTS, 5)


def test_evaluations_of_another_number_of_episodes_are_not_comparable() -> None:
    history = [evaluation(0, 2), evaluation(2, 3), evaluation(4, 2), evaluation(6, 2)]
    assert Progress(history=history).comparable() == [history[0], history[2], history[3]]
    assert Progress().comparable() == []


def set_up(data: EnvDataModule, agent: PEARL, stage: str = "fit") -> Progress:
    data.trainer = SimpleNamespace(
        lightning_module=agent, global_rank=0, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )  # type: ignore[assignment]
    data.setup(stage)
    return data.progress


def test_progress_is_of_one_agent_and_starts_anew_with_another() -> None:
    data, first, second = MetaBatchDataModule(CountingEnv()), PEARL(FEATURES, SPACE), PEARL(FEATURES, SPACE)
    before = data.progress  # of episodes that were stored by hand
    progress = set_up(data, first)
    assert progress is before
    for stage, agent in (("fit", first), ("test", second), ("validate", first)):
        assert set_up(data, agent, stage) is progress
    assert set_up(data, second) is not progress
    assert data.progress == Progress()
