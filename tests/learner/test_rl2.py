"""RL²: its memory, advantages and data against plain loops, and that only what it remembers lets it adapt."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from environments import AGENTS, FEATURES, SPACE, CountingEnv, train_quietly
from ragged import ARENAS, RaggedEnv
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.objectives.value.functional import generalized_advantage_estimate

from pearl_lightning.agents.clipped_objective import ClippedObjective
from pearl_lightning.agents.rl2 import RL2, lasting_advantages
from pearl_lightning.callbacks import RolloutCollector
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.experience.rollouts import RolloutDataModule
from pearl_lightning.inference.memory import Memory
from pearl_lightning.inference.steps import steps_of
from pearl_lightning.networks.actors import Actor

EPISODES, SIZE = 3, 8


def small_rl2(env: MetaEnv, **settings: Any) -> RL2:
    torch.manual_seed(0)
    return RL2(
        env.features,
        env.action_space,
        actor=partial(Actor, hidden=(16,)),
        value_hidden=(16,),
        memory=SIZE,
        memory_hidden=(8,),
        episodes=EPISODES,
        **settings,
    )


class Acting:
    """An agent whose conditions and actions are noted."""

    def __init__(self, agent: RL2) -> None:
        self.agent, self.observe_every, self.resample_every = agent, agent.observe_every, None
        self.prior = agent.prior
        self.log_probs: list[Tensor] = []

    def act(self, observation: Tensor, condition: Tensor, *rest: Any) -> Tensor:
        action = self.agent.act(observation, condition, *rest)
        shared = condition.unsqueeze(1).expand(-1, observation.shape[1], -1)
        self.log_probs.append(self.agent.actor(self.agent._normalized(observation), shared).action_log_prob(action))
        return action


def played(env: MetaEnv, agent: Any) -> list[TensorDict]:
    env.set_tasks([arena % 3 for arena in range(env.arenas)])
    player = Player(agent, env.arenas, generator=torch.Generator().manual_seed(0))
    return [play_episode(env, player) for _ in range(EPISODES)]


def random_played(tasks: int, steps: int) -> Tensor:
    """Episodes of five steps, each of which ends after one to five of them."""
    lengths = torch.randint(1, 6, (tasks, steps // 5, 1))
    return (torch.arange(5) < lengths).flatten(1)


# --- memory ------------------------------------------------------------------------------------


def test_the_memory_is_that_of_a_cell_that_reads_the_played_steps_one_by_one() -> None:
    torch.manual_seed(0)
    memory = Memory(4, (8,), SIZE)
    cell = nn.GRUCell(SIZE, SIZE)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in memory.unit.state_dict().items()})
    steps, mask, first = torch.randn(6, 15, 2, 4), random_played(6, 15), torch.randn(6, SIZE)
    found = memory(steps, mask, first)
    assert found.shape == (6, 16, SIZE)
    for task in range(6):
        state = first[task]
        torch.testing.assert_close(found[task, 0], state)
        for step in range(15):
            if mask[task, step]:
                parts = [memory.embed(steps[task, step, agent]) for agent in range(2)]
                state = cell(sum(parts) / 2, state)
            torch.testing.assert_close(found[task, step + 1], state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make_env", [CountingEnv, RaggedEnv])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_data_repeat_what_the_agent_remembered_when_it_played(make_env: type[MetaEnv], normalize: bool) -> None:
    """In play, the belief is updated at every step; the data are computed from whole episodes."""
    env = make_env(arenas=ARENAS)  # type: ignore[call-arg]
    agent = small_rl2(env, normalize_observations=normalize)
    if agent.norm is not None:
        agent.norm.update(5 * torch.randn(100, env.features) + 2)
    acting = Acting(agent)
    episodes = played(env, acting)
    items = agent.experience(episodes)
    expected, first = [], 0
    for episode in episodes:  # of padding there may be more steps than the player has made
        made = int(episode["played"].any(dim=0).sum())
        each = torch.stack(acting.log_probs[first : first + made], dim=1)
        expected.append(nn.functional.pad(each, (0, 0, 0, env.horizon - made)))
        first += made
    mask = items["played"]
    assert first == len(acting.log_probs)
    torch.testing.assert_close(items["action_log_prob"][mask], torch.cat(expected, dim=1)[mask], rtol=1e-3, atol=1e-4)


def test_a_belief_is_the_same_after_single_steps_and_after_all_at_once() -> None:
    env = RaggedEnv()
    agent = small_rl2(env)
    episodes = played(env, agent)
    whole, single = agent.prior(ARENAS), agent.prior(ARENAS)
    for episode in episodes:
        steps = steps_of(episode)
        whole.observe(steps)
        for step in range(steps.shape[1]):
            single.observe(steps[:, step : step + 1])
    torch.testing.assert_close(whole.condition(), single.condition(), rtol=1e-4, atol=1e-5)
    assert whole.posterior() is None


# --- advantages --------------------------------------------------------------------------------


def test_advantages_are_those_of_one_long_episode_without_the_padding() -> None:
    """Against TorchRL's estimator, for each arena by itself."""
    torch.manual_seed(0)
    reward, value, mask = torch.randn(6, 15, 2), torch.randn(6, 15, 2), random_played(6, 15)
    found = lasting_advantages(reward, value, mask, ClippedObjective(discount=0.9, gae_lambda=0.8))
    for arena in range(6):
        kept = mask[arena]
        r, v = reward[arena, kept].T.unsqueeze(-1), value[arena, kept].T.unsqueeze(-1)  # [agent, step, 1]
        following = torch.cat([v[:, 1:], torch.zeros_like(v[:, :1])], dim=1)
        done = torch.zeros_like(v, dtype=torch.bool)
        done[:, -1] = True
        expected, _ = generalized_advantage_estimate(0.9, 0.8, v, following, r, done)
        torch.testing.assert_close(found[arena, kept].T, expected.squeeze(-1))


def test_an_update_sends_gradients_to_the_first_step_of_a_task() -> None:
    """A later episode's loss changes what is remembered of the first one."""
    env = CountingEnv(arenas=ARENAS)
    agent = small_rl2(env)
    items = agent.experience(played(env, agent))
    read = items["read"].clone().requires_grad_()
    batch = items.clone().set("read", read)
    batch["advantage"] = torch.randn_like(batch["advantage"])
    agent.log_dict = lambda *_: None  # type: ignore[method-assign,assignment]
    agent._trainer = type("T", (), {"global_step": 0})()  # type: ignore[assignment]
    agent._fabric = None
    agent.training_step(batch, 0).backward()
    assert read.grad is not None
    assert bool((read.grad[:, 0].abs().sum(dim=(1, 2)) > 0).all())


# --- learning ----------------------------------------------------------------------------------


class SecretEnv(CountingEnv):
    """Rewards one of two choices, which an agent can only learn from its rewards."""

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        result = super().advance(action)
        is_right = torch.tensor(self.begun[-1]).unsqueeze(1) % 2 == action[..., -1].round() % 2
        return result | {"observation": torch.zeros(self.arenas, AGENTS, FEATURES), "reward": is_right.float()}


@pytest.mark.slow
def test_it_learns_to_adapt_within_the_first_episode() -> None:
    env = SecretEnv(arenas=48)
    agent = small_rl2(env, objective=ClippedObjective(discount=0.9), optimizer=partial(torch.optim.Adam, lr=1e-2))
    data = RolloutDataModule(env, minibatches=2, epochs=6)
    train_quietly(agent, data, RolloutCollector(tasks_per_iteration=6), 360)
    episodes = played(env, agent.eval())
    returns = [float(each["reward"].sum(dim=1).mean()) / env.horizon for each in episodes]
    assert returns[-1] > 0.9  # without a memory half of the choices are right
    assert returns[-1] > returns[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"memory": 0}, "size must contain sizes of at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RL2(FEATURES, SPACE, **settings)
