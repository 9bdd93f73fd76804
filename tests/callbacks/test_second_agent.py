"""Several agents fitted one after another with the same objects: each learns as with new ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv
from pytorch_lightning import Callback, Trainer

from pearl_lightning.agents.agent import Agent
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, ReplayCheckpoint, RolloutCollector
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.derk.callbacks import SelfPlayPool
from pearl_lightning.derk.opponents import IdleOpponent
from pearl_lightning.derk.opponents.past_selves import PastSelves
from pearl_lightning.experience.data import EnvDataModule, MetaBatchDataModule
from pearl_lightning.experience.rollouts import RolloutDataModule

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

UPDATES = 4


class Parts:
    """Data and callbacks that a user creates once, for PEARL or for PPO."""

    def __init__(self, kind: type[Agent], folder: Path) -> None:
        self.kind, self.folder = kind, folder
        env = CountingEnv()
        self.data: EnvDataModule
        self.collector: Collector
        if kind is PEARL:
            self.data = MetaBatchDataModule(env, meta_batch=2, transitions=4, updates_per_epoch=UPDATES)
            self.collector = EpisodeCollector(every_n_updates=2, tasks_per_iteration=4, initial_iterations=2)
        else:
            self.data = RolloutDataModule(env, minibatches=2, epochs=1, updates_per_epoch=UPDATES)
            self.collector = RolloutCollector(tasks_per_iteration=4)
        self.evaluation = AdaptationEvaluation(episodes=2, matches=2)
        self.checkpoint = ReplayCheckpoint()

    def agent(self, seed: int) -> Agent:
        torch.manual_seed(seed)
        return self.kind(FEATURES, SPACE)  # type: ignore[call-arg]

    def fit(self, agent: Agent, *others: Callback) -> None:
        trainer = Trainer(
            max_steps=UPDATES,
            val_check_interval=2,
            check_val_every_n_epoch=None,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(self.folder),
            callbacks=[self.evaluation, self.collector, self.checkpoint, *others],
        )
        trainer.fit(agent, self.data)

    def counts(self) -> dict[str, int]:
        collector = self.collector
        return self.data.progress.counts() | {"own": collector.iterations, "collected_at": collector.collected_at}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # figures of an evaluation go to Lightning's root folder


@pytest.mark.parametrize("kind", [PEARL, PPO])
def test_a_second_agent_learns_as_with_new_data_and_callbacks(kind: type[Agent], tmp_path: Path) -> None:
    used, new = Parts(kind, tmp_path / "used"), Parts(kind, tmp_path / "new")
    used.fit(used.agent(seed=1))
    second = used.agent(seed=2)
    used.fit(second)
    expected = new.agent(seed=2)
    new.fit(expected)
    for name, value in expected.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert used.counts() == new.counts()
    assert used.data.progress == new.data.progress
    assert [point.update for point in used.data.progress.history] == [0, 2, 4]
    saved = torch.load(tmp_path / "used" / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.equal(next(iter(saved["state_dict"].values())), next(iter(expected.state_dict().values())))


def test_the_same_agent_continues_with_its_replay_and_counters(tmp_path: Path) -> None:
    parts = Parts(PEARL, tmp_path)
    agent = parts.agent(seed=1)
    parts.fit(agent)
    once, held = parts.counts(), len(parts.data.replay)  # type: ignore[attr-defined]
    parts.fit(agent)
    iteration = held // 3  # two at the start, one after the second update
    assert len(parts.data.replay) == held + iteration  # type: ignore[attr-defined]
    assert parts.counts()["env_steps"] == once["env_steps"] + iteration
    assert [point.update for point in parts.data.progress.history] == [0, 2, 4, 0, 2, 4]


def test_the_same_agent_learns_from_new_data_that_its_collector_fills(tmp_path: Path) -> None:
    parts = Parts(PEARL, tmp_path)
    agent = parts.agent(seed=1)
    parts.fit(agent)
    held = len(parts.data.replay)  # type: ignore[attr-defined]
    parts.data = MetaBatchDataModule(CountingEnv(), meta_batch=2, transitions=4, updates_per_epoch=UPDATES)
    parts.fit(agent)
    assert len(parts.data.replay) == held
    assert parts.data.progress.env_steps == held  # of these data alone


def test_a_pool_of_past_selves_that_is_restored_again_holds_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pearl_lightning.derk.callbacks.self_play.CheckpointOpponent", lambda path: IdleOpponent())
    callback, pool = SelfPlayPool(), PastSelves("hard")
    callback.pools = {"selves:hard": pool}
    for _ in range(2):
        callback.load_state({"snapshots": ["first.ckpt", "second.ckpt"], "added_at": 4, "results": {}})
    assert callback.snapshots == ["first.ckpt", "second.ckpt"]
    assert len(pool.players) == 2


def test_results_of_a_resumed_run_are_counted_before_a_snapshot_moves_the_seats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    callback, pool = SelfPlayPool(), PastSelves("hard")
    callback.pools = {"selves:hard": pool}
    for _ in range(2):
        pool.add(IdleOpponent(), kept=2)
    pool.begin(4, torch.Generator().manual_seed(0))
    pool.end(torch.ones(4))  # as the collector plays before the callback, if the run had ended here
    counted = []
    monkeypatch.setattr(callback, "_add_if_due", lambda trainer: counted.append(float(pool.played.sum())))
    callback.on_train_start(SimpleNamespace(global_step=4), PEARL(FEATURES, SPACE))  # type: ignore[arg-type]
    assert counted == [4.0]


def test_a_replay_that_was_filled_by_hand_is_kept_for_the_first_agent(tmp_path: Path) -> None:
    parts, given = Parts(PEARL, tmp_path), Parts(PEARL, tmp_path / "given")
    parts.fit(parts.agent(seed=1))
    given.data.store = parts.data.store
    agent = given.agent(seed=2)
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        enable_checkpointing=False,
        callbacks=[given.evaluation],  # no collector: there is something to learn from
    )
    trainer.fit(agent, given.data)
    assert trainer.global_step == 1
    assert given.data.store is parts.data.store


def test_the_past_selves_of_an_earlier_agent_leave_the_pool() -> None:
    pool = PastSelves("hard")
    for _ in range(3):
        pool.add(IdleOpponent(), kept=2)
    pool.begin(4, torch.Generator().manual_seed(0))
    pool.end(torch.ones(4))
    assert pool.count() == 1.0
    pool.clear()
    assert not pool.players
    assert pool.count() is None
    assert len(pool.win_rates()) == 0


def test_a_self_play_callback_forgets_the_snapshots_of_another_agent() -> None:
    callback = SelfPlayPool()
    callback.setup(None, PEARL(FEATURES, SPACE), "fit")  # type: ignore[arg-type]
    callback.snapshots, callback.added_at = ["update-00000500.ckpt"], 500
    callback.setup(None, PEARL(FEATURES, SPACE), "validate")  # type: ignore[arg-type]
    assert callback.added_at == 500
    callback.setup(None, PEARL(FEATURES, SPACE), "fit")  # type: ignore[arg-type]
    assert (callback.snapshots, callback.added_at) == ([], 0)
