"""Playing tasks: what an episode's rows hold, lost episodes, and the belief an agent acts on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from worlds import AGENTS, FEATURES, HORIZON, SPACE, CountingWorld

from pearl_lightning.belief import Belief
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.pearl import PEARL
from pearl_lightning.replay import TaskReplay
from pearl_lightning.rollout import adaptation_episodes, play_episode


class RecordingAgent:
    """PEARL that notes z and observation of every step."""

    def __init__(self, context_stride: int = 1, z_steps: int | None = None) -> None:
        torch.manual_seed(0)
        self.z_steps = z_steps
        self.pearl = PEARL(FEATURES, SPACE, context_stride=context_stride)
        self.z: list[Tensor] = []

    def prior(self, arenas: int) -> Belief:
        return self.pearl.prior(arenas)

    def act(self, observation: Tensor, z: Tensor, *arguments: Any) -> Tensor:
        self.z.append(z)
        return self.pearl.act(observation, z, *arguments)

    def context_features(self, episodes: TensorDictBase) -> Tensor:
        return self.pearl.context_features(episodes)

    def posterior_of(self, episodes: list[TensorDict]) -> tuple[Tensor, Tensor]:
        """The encoder's one-shot posterior ``[arena, latent]`` given whole episodes of every agent."""
        steps = torch.stack(episodes, dim=1)
        with torch.no_grad():
            return self.pearl.encoder(self.context_features(steps))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def act(observation: Tensor, _: int) -> Tensor:
    """A legal action that depends on step and agent."""
    return torch.stack([observation[..., 1] / 10, observation[..., 2] / 10, observation[..., 1] % 3], dim=-1)


@pytest.mark.parametrize("has_training_reward", [False, True])
def test_rows_hold_what_was_seen_played_and_paid(has_training_reward: bool) -> None:
    env = CountingWorld(has_training_reward=has_training_reward)
    env.set_tasks([5, 0, 8, 2])
    rows = play_episode(env, act)
    assert rows.shape == (4, HORIZON + 1)
    steps = torch.arange(HORIZON + 1).float()
    assert torch.equal(rows["observation"][..., 0], env.numbers[0].view(4, 1, 1).expand(4, HORIZON + 1, AGENTS))
    assert torch.equal(rows["observation"][..., 1], steps.view(1, -1, 1).expand(4, -1, AGENTS))
    assert torch.equal(rows["action"][:, :HORIZON], act(rows["observation"][:, :HORIZON], 0))
    paid = torch.tensor([5.0, 0, 8, 2]).view(4, 1, 1) + steps[:HORIZON].view(1, -1, 1) / 10
    torch.testing.assert_close(rows["reward"][:, :HORIZON], paid.expand(4, HORIZON, AGENTS))
    torch.testing.assert_close(
        rows["training_reward"][:, :HORIZON], rows["reward"][:, :HORIZON] + 100 * has_training_reward
    )
    assert rows["terminated"].tolist() == [[False] * (HORIZON - 1) + [True, False]] * 4
    assert rows["task"].tolist() == [[task] * (HORIZON + 1) for task in (5, 0, 8, 2)]
    assert torch.equal(rows["outcome"][:, -1], env.numbers[0].sign())
    for name in ("action", "reward", "training_reward"):
        assert (rows[name][:, -1] == 0).all()  # the last row is the final observation alone


@pytest.mark.parametrize("step", [0, HORIZON - 1])
def test_a_lost_episode_is_played_again_from_its_start(step: int) -> None:
    env = CountingWorld(lose={0: step, 1: step})
    rows = play_episode(env, act)
    assert len(env.begun) == 3
    assert env.begun[0] == env.begun[2]
    assert torch.equal(rows["observation"][:, 0, 0, 0], env.numbers[2])
    assert torch.equal(rows["observation"][..., 1], torch.arange(HORIZON + 1.0).view(1, -1, 1).expand(4, -1, AGENTS))


def test_a_world_that_loses_every_attempt_is_an_error() -> None:
    env = CountingWorld(lose={0: 1, 1: 1})
    with pytest.raises(EpisodeLost):
        play_episode(env, act, attempts=2)
    assert len(env.begun) == 2
    with pytest.raises(ValueError, match="attempts must be at least 1, got 0"):
        play_episode(env, act, attempts=0)


def test_a_world_that_does_not_end_at_its_horizon_is_an_error() -> None:
    env = CountingWorld()
    env.horizon = HORIZON - 1
    with pytest.raises(RuntimeError, match="did not end its episode at its horizon of 3 steps"):
        play_episode(env, act)


def test_each_arena_holds_one_z_through_an_episode_and_redraws_it_between() -> None:
    agent, env = RecordingAgent(), CountingWorld(lose={1: 2})
    list(adaptation_episodes(env, agent, 3, generator=seeded()))
    attempts = [agent.z[:HORIZON], agent.z[HORIZON : 2 * HORIZON + 3], agent.z[2 * HORIZON + 3 :]]
    assert [len(steps) for steps in attempts] == [HORIZON, 3 + HORIZON, HORIZON]
    lost, again = attempts[1][:3], attempts[1][3:]
    for steps in (attempts[0], lost, again, attempts[2]):
        assert all(torch.equal(z, steps[0]) for z in steps)
    first, second, third = (steps[0] for steps in attempts)
    assert not torch.isclose(first, second).any()
    assert not torch.isclose(second, third).any()
    assert not torch.isclose(first[0], first[1]).any()


def test_z_is_redrawn_from_the_same_belief_every_z_steps_and_at_each_start() -> None:
    agent, env = RecordingAgent(z_steps=3), CountingWorld()
    assert HORIZON % 3  # so that an episode does not end with a whole span
    list(adaptation_episodes(env, agent, 2, generator=seeded(), update=False))
    episodes = (agent.z[:HORIZON], agent.z[HORIZON:])
    spans = [episode[start : start + 3] for episode in episodes for start in range(0, HORIZON, 3)]
    assert all(torch.equal(z, span[0]) for span in spans for z in span)
    assert len({tuple(span[0].flatten().tolist()) for span in spans}) == len(spans)


def test_z_comes_from_the_prior_and_then_from_the_posterior_given_all_agents_episodes() -> None:
    agent, generator = RecordingAgent(), seeded(3)
    episodes = list(adaptation_episodes(CountingWorld(), agent, 3, deterministic=True, generator=generator))
    reference, noise = seeded(3), []
    for _ in range(3):
        noise.append(torch.randn(4, agent.pearl.encoder.latent_dim, generator=reference))
    assert torch.equal(agent.z[0], noise[0])
    for number in (1, 2):
        mean, std = agent.posterior_of(episodes[:number])
        torch.testing.assert_close(agent.z[number * HORIZON], mean + std * noise[number])


@pytest.mark.parametrize("update", [False, True])
def test_a_given_belief_takes_in_the_episodes_only_where_asked(update: bool) -> None:
    agent, env = RecordingAgent(), CountingWorld()
    known = play_episode(env, act)
    belief = agent.prior(4)
    belief.update(agent.context_features(known.unsqueeze(1)))
    played = list(adaptation_episodes(env, agent, 2, generator=seeded(), belief=belief, update=update))
    wanted = agent.posterior_of([known, *played] if update else [known])
    for got, expected in zip(belief.posterior(), wanted, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("stride", [1, 3])
def test_a_belief_in_play_equals_the_posterior_that_training_gives_the_same_episodes(stride: int) -> None:
    agent, env = RecordingAgent(stride), CountingWorld(arenas=2)
    env.set_tasks([0, 1])
    replay = TaskReplay(tasks=2, episodes_per_task=2, horizon=HORIZON, recent_context=2, generator=seeded())
    belief = agent.prior(2)
    for episode in adaptation_episodes(env, agent, 2, generator=seeded(), belief=belief):
        replay.extend(episode, is_context=True)
    batch = replay.sample(2, 1, 2)[0]
    with torch.no_grad():
        in_training = agent.pearl.encoder(agent.context_features(batch["context"]))
    drawn = batch["transitions", "observation"][:, 0, 0]  # tells the arena, so the task's place in the batch
    order = [int((env.numbers[0].eq(start) | env.numbers[1].eq(start)).nonzero()[0, 0]) for start in drawn]
    for ours, theirs in zip(belief.posterior(), in_training, strict=True):
        torch.testing.assert_close(ours[order], theirs)
