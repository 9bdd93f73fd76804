"""Beliefs that an evaluation watches or misleads, against the beliefs that they hold."""

from __future__ import annotations

import pytest
import torch
from environments import AGENTS, FEATURES, HORIZON, SPACE, CountingEnv
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.evaluation.beliefs import TRACE_POINTS, MisledBelief, TracedBelief
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.belief import BeliefConfig, FixedBelief

ARENAS = 3


@pytest.fixture
def agent() -> PEARL:
    torch.manual_seed(0)
    return PEARL(FEATURES, SPACE, belief=BeliefConfig(observe_every=3))


def random_episode(steps: int, seed: int = 0) -> TensorDict:
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(ARENAS, steps + 1, AGENTS, FEATURES, generator=generator)
    return TensorDict(
        {
            "observation": observation[:, :-1],
            "next_observation": observation[:, 1:],
            "action": SPACE.sample((ARENAS, steps, AGENTS), generator),
            "reward": torch.randn(ARENAS, steps, AGENTS, generator=generator),
            "done": (torch.arange(steps) == steps - 1).expand(ARENAS, steps),
        },
        batch_size=[ARENAS, steps],
    )


def as_one(posterior: tuple[Tensor, Tensor] | None) -> Tensor:
    assert posterior is not None
    return torch.stack(posterior, dim=1)


@pytest.mark.parametrize("chunk", [1, 4, 99])
@pytest.mark.parametrize("horizon", [1, 7, 10, 25, 40])
def test_a_trace_keeps_the_posterior_every_few_steps_and_at_each_end_however_the_steps_come(
    agent: PEARL, horizon: int, chunk: int
) -> None:
    traced, plain = TracedBelief(agent.prior(ARENAS), horizon), agent.prior(ARENAS)
    every = max(1, -(-horizon // TRACE_POINTS))
    expected, counts = [as_one(plain.posterior())], [0]
    for seed in (0, 1):
        episode = random_episode(horizon, seed)
        for part in episode.split(chunk, dim=1):
            traced.observe(part)
        for step in range(horizon):
            plain.observe(episode[:, step : step + 1])
            if (step + 1) % every == 0 or step + 1 == horizon:
                expected.append(as_one(plain.posterior()))
                counts.append((seed * horizon + step + 1) * AGENTS)
    assert len(expected) <= 1 + 2 * TRACE_POINTS
    assert traced.counts == tuple(counts)
    assert traced.transitions == counts[-1]
    for kept, wanted in zip(traced.posteriors, expected, strict=True):
        torch.testing.assert_close(kept, wanted)


def test_a_trace_changes_nothing_that_the_agent_acts_on(agent: PEARL) -> None:
    plain = agent.prior(ARENAS)
    traced = TracedBelief(agent.prior(ARENAS), 7)
    for belief in (plain, traced):
        belief.observe(random_episode(7)[:, :5])
    for seed in (1, 2):
        first, second = (each.condition(torch.Generator().manual_seed(seed)) for each in (plain, traced))
        torch.testing.assert_close(first, second)
    torch.testing.assert_close(plain.expected_condition(), traced.expected_condition())
    torch.testing.assert_close(as_one(plain.posterior()), as_one(traced.posterior()))


def test_a_lost_episode_leaves_no_trace(agent: PEARL) -> None:
    plans: list[dict[int, int]] = [{}, {1: HORIZON - 1}]
    played = []
    for lose in plans:
        env = CountingEnv(arenas=ARENAS, lose=lose)
        player = Player(agent, ARENAS, belief=TracedBelief(agent.prior(ARENAS), HORIZON))
        for _ in range(3):
            play_episode(env, player)
        assert isinstance(player.belief, TracedBelief)
        played.append(player.belief)
    assert played[0].counts == played[1].counts == tuple(range(0, 3 * HORIZON * AGENTS + 1, AGENTS))
    assert len(played[1].posteriors) == 1 + 3 * HORIZON


def test_a_trace_of_a_belief_that_is_no_gaussian_has_no_numbers() -> None:
    traced = TracedBelief(FixedBelief(torch.randn(ARENAS, 2)), 4)
    traced.observe(random_episode(4))
    assert [point.shape for point in traced.posteriors] == [(ARENAS, 2, 0)] * 5


def test_a_misled_belief_is_the_one_that_its_source_would_have(agent: PEARL) -> None:
    source, episode = torch.tensor([2, 0, 1]), random_episode(7)
    own, misled = agent.prior(ARENAS), MisledBelief(agent.prior(ARENAS), source)
    copied = misled.copy()
    for part in episode.split(3, dim=1):
        own.observe(part)
        misled.observe(part)
    torch.testing.assert_close(as_one(misled.posterior()), as_one(own.posterior())[source])
    torch.testing.assert_close(misled.expected_condition(), own.expected_condition()[source])
    assert misled.transitions == own.transitions
    assert copied.transitions == 0
