"""Context-free PPO: advantages and losses against their definitions, and that it learns what pays."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from environments import AGENTS, FEATURES, HORIZON, SPACE, CountingEnv, NumberedTasks, train_quietly
from pytorch_lightning import Trainer
from tensordict import TensorDict

from pearl_lightning.agents.clipped_objective import ClippedObjective
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.callbacks import RolloutCollector
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.experience.rollouts import RolloutDataModule
from pearl_lightning.networks.actors import Actor

DISCOUNT, LAMBDA = 0.9, 0.8


@pytest.fixture
def ppo() -> PPO:
    torch.manual_seed(0)
    return PPO(
        FEATURES,
        SPACE,
        actor=partial(Actor, hidden=(16,)),
        value_hidden=(16,),
        objective=ClippedObjective(discount=DISCOUNT, gae_lambda=LAMBDA, reward_scale=0.5),
    )


@pytest.fixture
def episode(ppo: PPO) -> TensorDict:
    env = CountingEnv(has_training_reward=True)
    return play_episode(env, Player(ppo, env.arenas, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("terminated", [True, False])
def test_advantages_are_the_generalized_estimate(ppo: PPO, episode: TensorDict, terminated: bool) -> None:
    """Schulman et al. 2016, equation 16, as a loop; an episode that is only cut off goes on with its last value."""
    episode["terminated"][:, HORIZON - 1] = terminated
    items = ppo.experience([episode]).view(-1, HORIZON, AGENTS)
    value = ppo.value(episode["observation"]).squeeze(-1).detach()
    advantage, following = torch.zeros(len(episode), HORIZON, AGENTS), torch.zeros(len(episode), AGENTS)
    for step in reversed(range(HORIZON)):
        goes_on = 0.0 if terminated and step == HORIZON - 1 else 1.0
        reward = 0.5 * episode["training_reward"][:, step]
        error = reward + DISCOUNT * goes_on * value[:, step + 1] - value[:, step]
        following = error + DISCOUNT * LAMBDA * following
        advantage[:, step] = following
    torch.testing.assert_close(items["advantage"].squeeze(-1), advantage)
    torch.testing.assert_close(items["value_target"].squeeze(-1), advantage + value[:, :-1])


def test_the_loss_is_the_clipped_objective(ppo: PPO, episode: TensorDict) -> None:
    """Schulman et al. 2017, equations 7 and 9, on data of a policy that has since moved away."""
    items = ppo.experience([episode])
    with torch.no_grad():
        for parameter in ppo.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    ppo.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    ppo.trainer = Trainer(logger=False, enable_checkpointing=False, barebones=False, accelerator="cpu")
    loss = ppo.training_step(items, 0)
    policy = ppo.actor(items["observation"], torch.empty(len(items), 0))
    ratio = (policy.action_log_prob(items["action"]) - items["action_log_prob"]).exp()
    assert ((ratio < 0.8) | (ratio > 1.2)).any()
    advantage = items["advantage"].squeeze(-1)
    advantage = (advantage - advantage.mean()) / advantage.std()
    gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    error = (ppo.value(items["observation"]) - items["value_target"]).square().mean()
    expected = -gain + 0.5 * error - 0.01 * policy.entropy().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gae_lambda", [0.01, 1.0])
def test_the_ends_of_lambdas_range_give_an_estimate(gae_lambda: float, episode: TensorDict) -> None:
    items = PPO(FEATURES, SPACE, objective=ClippedObjective(gae_lambda=gae_lambda)).experience([episode])
    assert items["advantage"].isfinite().all()


def test_the_losss_constants_follow_the_agent_to_its_device(ppo: PPO) -> None:
    ppo.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    ppo.to("meta")  # stands in for a GPU
    ppo.on_fit_start()
    assert {buffer.device.type for buffer in ppo._loss.buffers()} == {"meta"}


def test_every_parameter_is_saved_once_and_learns(ppo: PPO, episode: TensorDict) -> None:
    assert {name.split(".")[0] for name in ppo.state_dict()} == {"actor", "value"}
    [group] = ppo.configure_optimizers().param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in ppo.parameters()}


@pytest.mark.slow
def test_it_comes_to_play_what_pays() -> None:
    """The counting environment pays each agent its first action component, at most 1."""
    torch.manual_seed(0)
    env = CountingEnv(arenas=32, tasks=NumberedTasks(train_tasks=1))
    agent = PPO(
        FEATURES,
        SPACE,
        actor=partial(Actor, hidden=(16,)),
        value_hidden=(16,),
        objective=ClippedObjective(discount=0.5),
        optimizer=partial(torch.optim.Adam, lr=0.01),
    )
    before = agent.act(torch.zeros(1, 3, FEATURES), torch.empty(1, 0), deterministic=True)[..., 0].mean()
    data = RolloutDataModule(env, minibatches=4, epochs=5)
    train_quietly(agent, data, RolloutCollector(tasks_per_iteration=1), updates=200)
    after = agent.act(torch.zeros(1, 3, FEATURES), torch.empty(1, 0), deterministic=True)[..., 0].mean()
    assert before < 0.3
    assert after > 0.8
