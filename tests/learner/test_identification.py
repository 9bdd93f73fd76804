"""The identification bonus: what it adds up to, who earns it, and who may ask for it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv, NumberedTasks
from ragged import HORIZON, RaggedEnv
from torch import Tensor

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import EpisodeCollector
from pearl_lightning.experience import identification
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.identification import identification_bonus
from pearl_lightning.experience.player import UniformPlayer
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.auxiliary import TaskInference
from pearl_lightning.inference.steps import steps_of
from tests.environments import train_quietly

NUMBERS = 2


class DescribedTasks(NumberedTasks):
    """Tasks with two numbers each."""

    def descriptors(self) -> Tensor:
        return torch.tensor([[float(task), float(task % 2)] for task in self.train])


def make_agent(**settings: Any) -> PEARL:
    torch.manual_seed(0)
    taught: dict[str, Any] = {"descriptor_features": NUMBERS, "auxiliary": [TaskInference]}
    return PEARL(FEATURES, SPACE, **(taught | settings))


@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_it_adds_up_to_what_the_episode_tells_and_padding_earns_nothing(
    every: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after some context, and at every measurement: the reduction so far is the sum so far."""
    monkeypatch.setattr(identification, "EVERY", every)
    env, generator = RaggedEnv(), torch.Generator().manual_seed(seed)
    env.set_seed(seed)
    torch.manual_seed(seed)
    agent = PEARL(env.features, env.action_space)
    descriptor = torch.randn(env.arenas, NUMBERS, generator=generator)
    belief = agent.prior(env.arenas)
    for _ in range(2):
        episode = play_episode(env, UniformPlayer(env.action_space, 1, generator))
        bonus = identification_bonus(episode, belief, descriptor)
        assert bonus.shape == (env.arenas, HORIZON)
        assert not bonus[~episode["played"][:, :-1]].any()

        def error(steps: int, belief: Any = belief, episode: Any = episode) -> Tensor:
            read = belief.copy()
            if steps:
                read.observe(steps_of(episode)[:, :steps])
            return (read.posterior()[0][:, :NUMBERS] - descriptor).square().sum(dim=1) / NUMBERS

        for steps in [*range(every, HORIZON, every), HORIZON]:
            torch.testing.assert_close(bonus[:, :steps].sum(dim=1), error(0) - error(steps), rtol=1e-4, atol=1e-5)
        belief.observe(steps_of(episode))


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_prior_episodes_alone_earn_it_as_training_reward(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[tuple[bool, Any]] = []
    extend = TaskReplay.extend

    def note(replay: TaskReplay, episodes: Any, is_context: bool, update: int = 0) -> None:
        stored.append((is_context, episodes.clone()))
        extend(replay, episodes, is_context, update)

    monkeypatch.setattr(TaskReplay, "extend", note)
    agent, env = make_agent(), CountingEnv(tasks=DescribedTasks())
    collector = EpisodeCollector(tasks_per_iteration=2, identification_weight=weight)
    data = MetaBatchDataModule(env, meta_batch=2, transitions=4)
    train_quietly(agent, data, collector, 1)
    (_, prior), (_, posterior), (_, exploiting) = stored
    for episode in (posterior, exploiting):
        assert torch.equal(episode["training_reward"], episode["reward"])
    gained = prior["training_reward"] - prior["reward"]
    assert data.replay.descriptors is not None
    untrained = make_agent().prior(env.arenas)  # the agent as it was when it collected
    expected = weight * identification_bonus(prior, untrained, data.replay.descriptors[prior["task"][:, 0]])
    torch.testing.assert_close(gained[:, :-1], expected.unsqueeze(-1).expand_as(gained[:, :-1]), rtol=1e-4, atol=1e-4)
    assert not gained[:, -1].any()
    assert gained.any() == (weight > 0)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_wrong_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=f"identification_weight must be at least 0 and finite, got {weight}"):
        EpisodeCollector(identification_weight=weight)


def test_an_agent_without_task_inference_is_refused() -> None:
    env, collector = (
        CountingEnv(tasks=DescribedTasks()),
        EpisodeCollector(tasks_per_iteration=2, identification_weight=1),
    )
    agent = make_agent(auxiliary=[])
    with pytest.raises(ValueError, match=r"identification_weight must be 0 without TaskInference .*, got 1"):
        train_quietly(agent, MetaBatchDataModule(env, meta_batch=2, transitions=4), collector, 1)


def test_relabelled_data_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    env, collector = (
        CountingEnv(tasks=DescribedTasks()),
        EpisodeCollector(tasks_per_iteration=2, identification_weight=1),
    )
    data = MetaBatchDataModule(env, meta_batch=2, transitions=4)
    monkeypatch.setattr(data, "relabelled", 0.5)
    monkeypatch.setattr(data, "make_store", partial(MetaBatchDataModule(env).make_store))
    with pytest.raises(ValueError, match=r"identification_weight must be 0 with data.relabelled above 0, got 1"):
        train_quietly(make_agent(), data, collector, 1)
