"""A collection iteration: when it happens, and the episodes that it plays, stores, marks and counts."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from environments import AGENTS, FEATURES, HORIZON, SPACE, CountingEncoder, CountingEnv, NumberedTasks
from pytorch_lightning import Trainer

from pearl_lightning.agents.agent import Agent
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.callbacks import (
    AdaptationEvaluation,
    EpisodeCollector,
    RolloutCollector,
    RunSummary,
    UpdateProgress,
)
from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollouts import RolloutDataModule
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import MeanCondition, SampledCondition

SEEN = AGENTS * HORIZON  # transitions of an episode, which CountingEncoder counts


class Bench:
    """A collector with an environment, a replay and an agent, and what it stored and by which z it played."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        env: CountingEnv | None = None,
        belief: BeliefConfig = BeliefConfig(),  # noqa: B008  (frozen)
        episodes_per_task: int = 100,
        **settings: Any,
    ) -> None:
        torch.manual_seed(0)
        self.env = CountingEnv() if env is None else env
        self.data = MetaBatchDataModule(self.env, meta_batch=2, transitions=4, episodes_per_task=episodes_per_task)
        self.data.setup("fit")
        self.pearl = PEARL(FEATURES, SPACE, encoder=CountingEncoder, belief=belief)
        self.collector = EpisodeCollector(**({"tasks_per_iteration": 2} | settings))
        self.trainer = SimpleNamespace(
            datamodule=self.data, global_step=0, global_rank=0, max_steps=100, loggers=[], callback_metrics={}
        )
        self.collector.setup(self.trainer, self.pearl, "fit")
        self.stored: list[tuple[bool, int, Any]] = []
        self.z: list[torch.Tensor] = []
        extend, act = TaskReplay.extend, PEARL.act

        def extend_and_note(replay: TaskReplay, episodes: Any, is_context: bool, update: int = 0) -> None:
            self.stored.append((is_context, update, episodes))
            extend(replay, episodes, is_context, update)

        def act_and_note(pearl: PEARL, observation: Any, z: torch.Tensor, *arguments: Any, **named: Any) -> Any:
            self.z.append(z)
            return act(pearl, observation, z, *arguments, **named)

        monkeypatch.setattr(TaskReplay, "extend", extend_and_note)
        monkeypatch.setattr(PEARL, "act", act_and_note)

    def collect(self, update: int = 0) -> None:
        self.trainer.global_step = update
        self.collector.collect(self.trainer, self.pearl)


def test_prior_and_posterior_episodes_are_context_and_extra_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, prior_episodes=2, posterior_episodes=2, rl_episodes=3)
    bench.collect(update=40)
    assert [is_context for is_context, _, _ in bench.stored] == [True] * 4 + [False] * 3
    assert all(update == 40 for _, update, _ in bench.stored)


def test_z_rests_on_the_episodes_played_so_far_from_the_first_posterior_episode_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, prior_episodes=2, posterior_episodes=2, rl_episodes=2)
    for _ in range(2):  # the second iteration starts anew
        bench.z.clear()
        bench.collect()
        per_episode = torch.stack(bench.z).reshape(6, HORIZON, 4, 2)
        assert (per_episode == per_episode[:, :1]).all()
        assert (per_episode[:2].abs() < 6).all()  # the prior, which knows of nothing
        assert not torch.isclose(per_episode[0, 0], per_episode[1, 0]).any()
        believed = (per_episode[2:] / SEEN).mean(dim=(1, 2, 3))
        torch.testing.assert_close(believed, torch.tensor([2.0, 3.0, 4.0, 4.0]), atol=1e-3, rtol=0)


def test_an_agent_that_acts_on_the_mean_collects_with_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    z = []
    for condition in (SampledCondition, MeanCondition):
        with monkeypatch.context() as patched:
            bench = Bench(patched, belief=BeliefConfig(condition=condition), prior_episodes=2, rl_episodes=2)
            bench.collect()
            z.append(torch.stack(bench.z))
    assert torch.equal(*z)


@pytest.mark.parametrize("steps", [1, 2, HORIZON])
def test_initial_iterations_play_uniform_actions_each_held_and_later_ones_the_agent(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    settings = {"prior_episodes": 100, "posterior_episodes": 60, "rl_episodes": 40}
    bench = Bench(monkeypatch, initial_iterations=1, initial_action_steps=steps, **settings)
    bench.collect()
    assert not bench.z  # the agent was not asked
    assert [is_context for is_context, _, _ in bench.stored] == [True] * 160 + [False] * 40
    action = torch.stack([episode["action"][:, :HORIZON] for _, _, episode in bench.stored])
    segments = action.split(steps, dim=2)  # [episode, arena, step, agent, width]
    assert all((segment == segment[:, :, :1]).all() for segment in segments)
    starts = torch.stack([segment[:, :, 0] for segment in segments], dim=2).reshape(-1, SPACE.width)
    assert len(starts[:, 0].unique()) > 0.99 * len(starts)  # arenas and agents draw their own
    low, high = torch.tensor(SPACE.low), torch.tensor(SPACE.high)
    of_continuous = (starts[:, : SPACE.continuous] - low) / (high - low)
    moments = torch.tensor([1 / 2, 1 / 12]).unsqueeze(1)  # of a uniform variable: mean and variance
    measured = torch.stack([of_continuous.mean(0), of_continuous.var(0)])
    assert ((measured - moments).abs() < 4 * (1 / 12 / len(starts)) ** 0.5).all()
    bench.collect()
    assert bench.z


class Conductor(Demonstrator):
    """Plays what no agent would, and notes what it was asked."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.seen: list[torch.Tensor] = []

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self.begun.append(arenas)

    def __call__(self, observation: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        self.seen.append(observation)
        drawn = torch.randint(2, observation.shape[:2], generator=generator)
        return _extremes(drawn)


def _extremes(drawn: torch.Tensor) -> torch.Tensor:
    low = torch.tensor([*SPACE.low, *(0.0 for _ in SPACE.choices)])
    high = torch.tensor([*SPACE.high, *(float(options - 1) for options in SPACE.choices)])
    return torch.stack([low, high])[drawn]


def test_demonstrated_episodes_come_last_and_are_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    demonstrator = Conductor()
    settings: dict[str, Any] = {"demonstrated_episodes": 2, "demonstrator": demonstrator}
    bench = Bench(monkeypatch, prior_episodes=1, posterior_episodes=1, rl_episodes=1, **settings)
    bench.collect()
    assert [is_context for is_context, _, _ in bench.stored] == [True] * 2 + [False] * 3
    assert len(bench.z) == 3 * HORIZON
    assert demonstrator.begun == [4, 4]
    for number, (_, _, stored) in enumerate(bench.stored[3:]):
        assert torch.equal(
            stored["observation"][:, :HORIZON], torch.stack(demonstrator.seen, 1).split(HORIZON, 1)[number]
        )
        extremes = _extremes(torch.tensor([0, 1]))
        assert (stored["action"][:, :HORIZON].unsqueeze(-2) == extremes).all(dim=-1).any(dim=-1).all()
    again = Bench(monkeypatch, prior_episodes=1, posterior_episodes=1, rl_episodes=1, **settings)
    again.collect()
    assert torch.equal(again.stored[-1][2]["action"], bench.stored[-1][2]["action"])  # by the collector's generator


def test_who_must_be_told_every_step_cannot_demonstrate() -> None:
    demonstrator = Conductor()
    demonstrator.follows = True  # type: ignore[misc]
    with pytest.raises(ValueError, match="demonstrator must play from observations alone, got Conductor"):
        EpisodeCollector(demonstrated_episodes=1, demonstrator=demonstrator)


@pytest.mark.parametrize("settings", [{"demonstrated_episodes": 1}, {"demonstrator": Conductor()}])
def test_a_demonstrator_without_episodes_and_the_reverse_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="demonstrated_episodes must be above 0 with a demonstrator and 0 without"):
        EpisodeCollector(**settings)


def test_counts_are_what_the_environment_played(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, prior_episodes=1, posterior_episodes=2, rl_episodes=1)
    for _ in range(3):
        bench.collect()
    progress = bench.data.progress
    assert progress.iterations == bench.collector.iterations == 3
    assert progress.env_steps == bench.env.played_steps == 3 * 4 * 4 * HORIZON
    assert progress.episodes == 3 * 4 * 4
    assert progress.transitions == progress.env_steps * AGENTS
    assert len(bench.data.replay) == progress.env_steps


def test_two_collectors_add_to_the_same_counts_and_keep_their_own_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, prior_episodes=1, posterior_episodes=0, rl_episodes=0)
    other = EpisodeCollector(tasks_per_iteration=2, prior_episodes=1, posterior_episodes=1, rl_episodes=0)
    other.setup(bench.trainer, bench.pearl, "fit")
    bench.collect()
    other.collect(bench.trainer, bench.pearl)
    other.collect(bench.trainer, bench.pearl)
    env_steps = (1 + 2 * 2) * 4 * HORIZON
    counts = {"iterations": 3, "episodes": 5 * 4, "env_steps": env_steps, "transitions": env_steps * AGENTS}
    assert bench.data.progress.counts() == counts
    assert env_steps == bench.env.played_steps
    assert (bench.collector.iterations, other.iterations) == (1, 2)
    assert RunSummary.facts(bench.trainer).items() >= counts.items()
    assert UpdateProgress.facts(bench.trainer).startswith(f"{env_steps} env steps, return_prior ")


def test_arenas_are_shared_out_evenly_and_play_one_task_through_an_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, env=CountingEnv(arenas=6), tasks_per_iteration=3)
    bench.collect()
    assert len({tuple(tasks) for tasks in bench.env.begun}) == 1
    first = bench.env.begun[0]
    assert first == [task for task in first[::2] for _ in range(2)]
    assert len(set(first)) == 3
    for (_, _, stored), tasks in zip(bench.stored, bench.env.begun, strict=True):
        assert stored["task"][:, 0].tolist() == tasks


@pytest.mark.parametrize(("tasks_per_iteration", "iterations"), [(2, 9), (4, 9)])
def test_every_train_task_is_played_before_any_comes_again(
    monkeypatch: pytest.MonkeyPatch, tasks_per_iteration: int, iterations: int
) -> None:
    settings = {"prior_episodes": 1, "posterior_episodes": 0, "rl_episodes": 0}
    bench = Bench(monkeypatch, tasks_per_iteration=tasks_per_iteration, **settings)
    for _ in range(iterations):
        bench.collect()
    played = [task for tasks in bench.env.begun for task in tasks[:: 4 // tasks_per_iteration]]
    rounds = [played[i : i + 6] for i in range(0, len(played), 6)]
    assert all(sorted(tasks) == list(range(6)) for tasks in rounds)  # 6 train tasks, and never one of the 3 test tasks
    assert len({tuple(tasks) for tasks in rounds}) > 1  # in another order each time


class RememberingLogger:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append(metrics)


def test_metrics_are_mean_team_returns_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, prior_episodes=1, posterior_episodes=1, rl_episodes=1)
    logger = RememberingLogger()
    bench.trainer.loggers = [logger]
    bench.collect()
    returns = [float(episode["reward"].sum() / 4) for _, _, episode in bench.stored]
    (metrics,) = logger.rows
    assert metrics["collect/return_prior"] == pytest.approx(returns[0])
    assert metrics["collect/return_posterior"] == pytest.approx((returns[1] + returns[2]) / 2)
    assert metrics["collect/env_steps"] == 3 * 4 * HORIZON
    assert metrics["collect/episodes"] == 12
    assert metrics["collect/iterations"] == 1
    assert metrics["env_steps"] == 3 * 4 * HORIZON
    assert bench.data.progress.returns == {
        "prior": metrics["collect/return_prior"],
        "posterior": metrics["collect/return_posterior"],
    }


def test_a_lost_episode_is_played_again_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, env=CountingEnv(lose={1: 2}))
    bench.collect()
    assert len(bench.env.begun) == 4
    assert bench.data.progress.env_steps == len(bench.data.replay) == 3 * 4 * HORIZON


def test_an_environment_that_loses_every_attempt_ends_the_run_and_stores_nothing_partial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, env=CountingEnv(lose={1: 3, 2: 3, 3: 3}))
    with pytest.raises(EpisodeLost):
        bench.collect()
    assert bench.data.progress.env_steps == len(bench.data.replay) == 4 * HORIZON  # the first round, whole


def test_state_goes_through_a_checkpoint_and_the_tasks_go_on_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, resumed = Bench(monkeypatch), Bench(monkeypatch)
    bench.collect()
    resumed.collector.load_state(bench.collector.state())
    resumed.data.progress.load_collected(bench.data.progress.collected())
    assert resumed.collector.state().keys() == bench.collector.state().keys()
    assert resumed.data.progress == bench.data.progress
    for runs in (bench, resumed):
        runs.env.set_seed(3)
        runs.collect()
    assert resumed.env.begun == bench.env.begun[3:]
    assert resumed.data.progress == bench.data.progress
    assert torch.equal(resumed.stored[-1][2]["action"], bench.stored[-1][2]["action"])


@pytest.mark.parametrize(("every", "updates", "iterations"), [(3, 8, 2 + 2), (3, 9, 2 + 2), (2, 5, 2 + 2), (9, 8, 2)])
def test_iterations_come_every_n_updates_and_not_after_the_last(every: int, updates: int, iterations: int) -> None:
    torch.manual_seed(0)
    env = CountingEnv()
    collector = EpisodeCollector(every_n_updates=every, tasks_per_iteration=4, initial_iterations=2)
    trainer = Trainer(
        max_steps=updates,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        callbacks=[collector],
    )
    data = MetaBatchDataModule(env, meta_batch=2, transitions=4, updates_per_epoch=4)  # epochs play no role
    trainer.fit(PEARL(FEATURES, SPACE), data)
    assert collector.iterations == iterations
    assert data.progress.env_steps == env.played_steps == iterations * 3 * 4 * HORIZON
    assert trainer.callback_metrics["env_steps"] == data.progress.env_steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_updates": 0}, "every_n_updates must be at least 1, got 0"),
        ({"tasks_per_iteration": 0}, "tasks_per_iteration must be at least 1, got 0"),
        ({"initial_iterations": 0}, "initial_iterations must be at least 1, got 0"),
        ({"initial_action_steps": 0}, "initial_action_steps must be at least 1, got 0"),
        ({"prior_episodes": -1}, "prior_episodes must be at least 0, got -1"),
        ({"rl_episodes": -1}, "rl_episodes must be at least 0, got -1"),
        ({"prior_episodes": 0, "posterior_episodes": 0}, "the encoder needs context"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeCollector(**settings)


@pytest.mark.parametrize(("kept", "is_enough"), [(3, False), (4, False), (5, True)])
def test_the_replay_must_keep_a_context_episode_beside_those_played_after_it(
    monkeypatch: pytest.MonkeyPatch, kept: int, is_enough: bool
) -> None:
    """Two arenas play each task, two episodes each after the context."""
    expected = nullcontext() if is_enough else pytest.raises(ValueError, match="must be at least 5, got")
    with expected:
        bench = Bench(monkeypatch, tasks_per_iteration=2, rl_episodes=2, episodes_per_task=kept)
        if is_enough:
            bench.collect()
            assert bench.data.replay.sample(2, 4, 1)[0]["context"].shape[1] == 1


@pytest.mark.parametrize(("arenas", "train_tasks", "tasks"), [(4, 6, 3), (8, 6, 8)])
def test_tasks_that_do_not_fit_the_arenas_or_the_split_are_refused(
    monkeypatch: pytest.MonkeyPatch, arenas: int, train_tasks: int, tasks: int
) -> None:
    env = CountingEnv(arenas=arenas, tasks=NumberedTasks(train_tasks))
    message = f"must divide the {arenas} arenas and be at most the {train_tasks} train tasks, got {tasks}"
    with pytest.raises(ValueError, match=message):
        Bench(monkeypatch, env=env, tasks_per_iteration=tasks)


@pytest.mark.parametrize(
    ("agent", "data", "collector", "message"),
    [
        (PEARL, MetaBatchDataModule, RolloutCollector, "RolloutCollector requires an on-policy agent, got PEARL"),
        (PEARL, RolloutDataModule, EpisodeCollector, "must be a MetaBatchDataModule, got RolloutDataModule"),
        (PEARL, RolloutDataModule, RolloutCollector, "RolloutCollector requires an on-policy agent, got PEARL"),
        (PPO, MetaBatchDataModule, EpisodeCollector, "EpisodeCollector requires an off-policy agent, got PPO"),
        (PPO, MetaBatchDataModule, RolloutCollector, "must be a RolloutDataModule, got MetaBatchDataModule"),
    ],
)
def test_agent_data_and_collector_that_do_not_go_together_are_refused_before_an_episode(
    agent: type[Agent], data: Any, collector: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pearl_lightning.experience.rollout._play_once", lambda *_: pytest.fail("an episode was played")
    )
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[AdaptationEvaluation(), collector(tasks_per_iteration=2)],
    )
    with pytest.raises(TypeError, match=message):
        trainer.fit(agent(FEATURES, SPACE), data(CountingEnv()))  # type: ignore[call-arg]
