"""The record of a match contains what was played."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pearl_lightning.agents.uniform import UniformAgent
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import BOUNTY_KEYS
from pearl_lightning.derk.tasks import LoadoutTasks
from pearl_lightning.derk.watching import record_adaptation
from pearl_lightning.derk.watching.record import one_arena
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.evaluation import evaluate_adaptation
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.steps import steps_of
from tests.watching.small_matches import small_agent, small_env


@pytest.fixture(params=["home", "away"])
def env(request: pytest.FixtureRequest) -> Iterator[DerkEnv]:
    env = small_env(side=request.param)
    yield env
    env.close()


def test_a_record_holds_the_returns_that_an_evaluation_of_the_same_seed_finds(env: DerkEnv) -> None:
    agent = small_agent(env)
    records = record_adaptation(env, agent, 2, episodes=3, seed=5)
    evaluated = evaluate_adaptation(env, agent, [2], episodes=3, deterministic=False, seed=5)
    own = [record.returns[record.own_side] for record in records]
    np.testing.assert_allclose(own, evaluated.returns[0, 0], atol=1e-4)
    won = [np.sign(record.returns[record.own_side] - record.returns[1 - record.own_side]) for record in records]
    assert evaluated.outcomes is not None
    assert won == list(evaluated.outcomes[0, 0])


def test_the_first_belief_is_the_prior_and_the_next_is_what_the_evaluation_ends_with(env: DerkEnv) -> None:
    agent = small_agent(env)
    records = record_adaptation(env, agent, 1, episodes=2, seed=5)
    assert [list(record.belief_steps) for record in records] == [[0], [0]]
    assert np.array_equal(records[0].z_mean, np.zeros((1, 3)))
    assert np.array_equal(records[0].z_std, np.ones((1, 3)))
    evaluated = evaluate_adaptation(env, agent, [1], episodes=1, deterministic=False, seed=5)
    np.testing.assert_allclose(records[1].z_mean[0], evaluated.z_mean[0, 0, 0], rtol=1e-4)
    np.testing.assert_allclose(records[1].z_std[0], evaluated.z_std[0, 0, 0], rtol=1e-4)


def test_beliefs_within_an_episode_are_those_of_its_steps_so_far(env: DerkEnv) -> None:
    agent = small_agent(env, observe_every=30)
    first, second = record_adaptation(env, agent, 1, episodes=2, seed=5)
    assert list(first.belief_steps) == list(second.belief_steps) == list(range(0, env.horizon, 30))
    env.set_seed(5)
    env.set_tasks(torch.tensor([1]))
    generator = torch.Generator().manual_seed(5)
    player = Player(agent, 1, generator=generator)
    steps = steps_of(play_episode(env, player))
    for number, step in enumerate(first.belief_steps):
        belief = agent.prior(1)
        if step:
            belief.observe(steps[:, :step])
        mean, std = belief.posterior() or (torch.empty(0), torch.empty(0))
        np.testing.assert_allclose(first.z_mean[number], mean[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(first.z_std[number], std[0], rtol=1e-4)
    mean, _ = player.belief.posterior() or (torch.empty(0), torch.empty(0))
    np.testing.assert_allclose(second.z_mean[0], mean[0], rtol=1e-4, atol=1e-6)  # with the steps after the last moment


def test_what_the_bounties_paid_is_what_the_hitpoints_say(env: DerkEnv) -> None:
    (record,) = record_adaptation(env, UniformAgent(env.features, env.action_space), 0, episodes=1)
    damage = record.rewards[..., BOUNTY_KEYS.index("damageTaken")].sum(axis=(0, 2))
    lost = np.diff(record.states["hitpoints"].reshape(-1, 2, 4), axis=0)[..., 1:].clip(max=0).sum(axis=(0, 2))
    assert (lost < -20).any()  # somebody was hurt
    np.testing.assert_allclose(damage, 0.01 * lost, atol=0.05)  # but for what regenerates within a step
    assert np.abs(record.rewards[..., BOUNTY_KEYS.index("teamSpirit")]).max() < 1e-4  # nothing is shared here


def test_a_frame_is_the_state_before_its_step_and_one_comes_after_the_last(env: DerkEnv) -> None:
    (record,) = record_adaptation(env, small_agent(env), 0, episodes=1)
    steps = env.horizon
    assert record.actions.shape == (steps, 2, 3, 5)
    assert record.states["position"].shape == (steps + 1, 8, 3)
    assert (record.states["hitpoints"][0] == 100).all()
    statues = record.states["position"][:, [0, 4], :2]
    assert (statues == [[51.0, 51.0], [77.0, 77.0]]).all()
    stride = np.linalg.norm(np.diff(record.states["position"][..., :2], axis=0), axis=-1)
    assert 0.5 < stride.max() < 12 * 8 / 60 + 1.5  # a step's walk at full speed, and a push by whoever stands there


def test_an_attempt_that_the_environment_lost_is_no_part_of_the_record(
    env: DerkEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = record_adaptation(env, small_agent(env), 0, episodes=2, seed=5)
    advance, played = env.advance, []

    def lose_one(action: torch.Tensor) -> dict[str, torch.Tensor | bool]:
        played.append(action)
        if len(played) == 40:
            raise EpisodeLost("the game broke")
        return advance(action)

    monkeypatch.setattr(env, "advance", lose_one)
    records = record_adaptation(env, small_agent(env), 0, episodes=2, seed=5)
    for record in records:
        assert len(record.actions) == env.horizon
        assert len(record.states["hitpoints"]) == env.horizon + 1
    assert records[0].states["position"][0].tolist() != undisturbed[0].states["position"][0].tolist()  # another start


def test_recording_leaves_the_environment_as_it_was(env: DerkEnv) -> None:
    env.set_tasks(torch.tensor([3]))
    before = env.random_state()
    record_adaptation(env, small_agent(env), 0, episodes=1)
    assert env.spectator is None
    assert env.next_tasks.tolist() == [3]
    after = env.random_state()
    assert {name: str(state) for name, state in before.items()} == {name: str(state) for name, state in after.items()}


def test_only_an_environment_that_counts_events_is_recorded() -> None:
    env = DerkEnv(arenas=1, tasks=LoadoutTasks(train_tasks=1, test_tasks=0), backend_options={"episode_ticks": 16})
    with pytest.raises(ValueError, match="env must use the simulator with count_events: true"):
        record_adaptation(env, small_agent(env), 0)
    counting = one_arena(env)
    assert counting.horizon == env.horizon == 2  # the rules are those of the environment
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        record_adaptation(counting, small_agent(env), 0, episodes=0)
    assert counting.arenas == 1
    assert counting.events == len(BOUNTY_KEYS)
