"""The last episodes as minibatches: how often each item is given out, and that a saved stream goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv
from tensordict import TensorDict

from pearl_lightning.agents.ppo import PPO
from pearl_lightning.agents.uniform import UniformAgent
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.experience.rollouts import RolloutStore


def numbered(count: int = 10) -> TensorDict:
    return TensorDict({"number": torch.arange(count)}, batch_size=[count])


def store(minibatches: int = 3, epochs: int = 2) -> RolloutStore:
    return RolloutStore(minibatches, epochs, torch.Generator().manual_seed(0))


def test_every_item_comes_once_in_each_epoch_in_a_new_order() -> None:
    held = store()
    assert held.is_used_up()
    held.put(numbered())
    epochs = [torch.cat([held.take()["number"] for _ in range(3)]).tolist() for _ in range(2)]
    assert held.is_used_up()
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


def test_new_items_take_the_place_of_those_left() -> None:
    held = store()
    held.put(numbered())
    held.take()
    held.put(numbered() + 100)
    numbers = torch.cat([held.take()["number"] for _ in range(6)])
    assert int(numbers.min()) == 100
    assert held.is_used_up()


def test_a_saved_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    held, other = store(), store()
    held.put(numbered())
    held.take()
    held.save(tmp_path)
    other.load(tmp_path)
    for _ in range(5):
        assert held.take()["number"].tolist() == other.take()["number"].tolist()
    for each in (held, other):
        each.put(numbered())
    assert held.take()["number"].tolist() == other.take()["number"].tolist()


def test_a_stream_that_nobody_fills_says_so() -> None:
    with pytest.raises(RuntimeError, match="no collector fills the data: set collector to RolloutCollector"):
        store().take()


def test_fewer_items_than_minibatches_are_refused() -> None:
    with pytest.raises(ValueError, match="minibatches must be at most 2, the number of collected items, got 3"):
        store().put(numbered(2))


def test_an_agent_without_context_has_a_belief_that_stays_empty() -> None:
    env = CountingEnv()
    for agent in (UniformAgent(FEATURES, SPACE), PPO(FEATURES, SPACE)):
        belief = agent.prior(env.arenas)
        player = Player(agent, env.arenas, belief=belief)
        play_episode(env, player)
        for each in (belief, player.belief, agent.prior(env.arenas)):
            assert each.condition().shape == (env.arenas, 0)
            assert each.transitions == 0


def test_the_uniform_agent_plays_legal_actions_that_its_generator_decides() -> None:
    agent, observation = UniformAgent(FEATURES, SPACE), torch.zeros(50, 3, FEATURES)
    first, again = (
        agent.act(observation, torch.empty(50, 0), generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert SPACE.spec((50, 3)).is_in(first)
    assert torch.equal(first, again)
    assert len(first[..., 0].unique()) > 140
