"""Discrete actions: every learner plays them, and exact expectations need no samples."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from environments import NumberedTasks, train_quietly
from small_pearl import SPACES, losses, meta_batch, small_pearl
from torch import Tensor
from torch.distributions import Categorical
from torch.optim import Adam
from torchrl.envs.utils import check_env_specs

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.evolution_strategy import EvolutionStrategy
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.agents.rl2 import RL2
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.agents.temperatures import LearnedTemperature
from pearl_lightning.agents.uniform import UniformAgent
from pearl_lightning.callbacks import EpisodeCollector, RolloutCollector
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.evaluation import evaluate_adaptation
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.rollouts import RolloutDataModule
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.encoders import MeanEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble

OPTIONS, HORIZON = 3, 5


class GuessEnv(MetaEnv):
    """Rewards one of three options with 1. Which one is hidden: it is the task's number modulo 3."""

    def __init__(self, arenas: int = 12, tasks: NumberedTasks | None = None) -> None:
        super().__init__(
            arenas=arenas,
            tasks=tasks or NumberedTasks(6, 3, 3),
            action_space=ActionSpace((), (), (OPTIONS,)),
            agents=1,
            features=1,
            horizon=HORIZON,
        )

    def begin(self, tasks: list[Any]) -> Tensor:
        self.rewarded, self.step_number = torch.tensor(tasks).view(-1, 1) % OPTIONS, 0
        return torch.zeros(self.arenas, 1, 1)

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        self.step_number += 1
        reward = (action[..., 0].long() == self.rewarded).float()
        is_last = self.step_number == HORIZON
        return {
            "observation": torch.zeros(self.arenas, 1, 1),
            "reward": reward,
            "terminated": False,
            "truncated": is_last,
        }


def test_an_environment_with_discrete_actions_passes_torchrls_checks() -> None:
    check_env_specs(GuessEnv())


def test_the_soft_value_is_the_sum_over_all_combinations() -> None:
    """No part of the expectation is sampled: the losses do not depend on the noise, except through z."""
    space = SPACES["discrete"]
    pearl, batch = small_pearl(space, encoder=partial(MeanEncoder, latent_dim=3, hidden=(16,))), meta_batch(space)
    observation, z = batch["transitions"].flatten()["observation"], torch.zeros(32, 3)
    policy = pearl.actor(observation, z)
    table = pearl.sac.critics(torch.cat([observation, z], dim=-1)).amin(dim=0)
    first, second = (Categorical(logits=logits) for logits in policy.log_choices)
    expected = torch.zeros(32)
    for i in range(4):
        for j in range(3):
            expected += first.probs[:, i] * second.probs[:, j] * table[:, 3 * i + j]
    joint = policy.joint_probabilities()
    torch.testing.assert_close((joint * table).sum(dim=-1), expected)
    torch.testing.assert_close(policy.entropy(), first.entropy() + second.entropy())
    action = policy.sample(torch.Generator().manual_seed(0))
    expected_log_prob = first.log_prob(action[:, 0]) + second.log_prob(action[:, 1])
    torch.testing.assert_close(policy.action_log_prob(action), expected_log_prob)
    assert torch.equal(policy.mode(), torch.stack([first.probs.argmax(-1), second.probs.argmax(-1)], dim=-1).float())


def test_losses_are_finite_and_nothing_of_a_gaussian_is_left() -> None:
    terms = losses(small_pearl(SPACES["discrete"]), meta_batch(SPACES["discrete"]))
    assert all(bool(term.isfinite()) for term in terms.values())


@pytest.mark.slow
def test_pearl_finds_out_which_option_is_rewarded() -> None:
    torch.manual_seed(1)  # of 14 seeds, 2 miss an option in so few updates
    env = GuessEnv()
    small = {"hidden": (32,)}
    agent = PEARL(
        env.features,
        env.action_space,
        encoder=partial(MeanEncoder, latent_dim=3, hidden=(32,)),
        belief=BeliefConfig(observe_every=1),
        sac=partial(
            HybridSAC,
            actor=partial(Actor, **small),
            critic=partial(CriticEnsemble, **small),
            temperature=partial(LearnedTemperature, initial=0.05, target_choice_entropy=0.1),
            discount=0.5,
        ),
        kl_weight=0.001,
        optimizers=Optimizers(default=partial(Adam, lr=3e-3)),
    )
    before = evaluate_adaptation(env, agent, range(6), episodes=2, matches=8).returns.mean(axis=(0, 1))
    data = MetaBatchDataModule(env, meta_batch=6, transitions=32, episodes_per_task=40)
    train_quietly(agent, data, EpisodeCollector(every_n_updates=20, tasks_per_iteration=6), updates=500)
    after = evaluate_adaptation(env, agent, range(6), episodes=2, matches=8).returns.mean(axis=(0, 1))
    assert before[1] < 2.5
    assert after[1] > 4.5  # of 5
    assert after[1] > after[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppo", "rl2", "evolution"])
def test_on_policy_learners_find_the_only_rewarded_option(kind: str) -> None:
    torch.manual_seed(0)
    env = GuessEnv(arenas=16, tasks=NumberedTasks(1, 0, 0))
    if kind == "ppo":
        actor = partial(Actor, hidden=(16,))
        agent: Any = PPO(1, env.action_space, actor=actor, value_hidden=(16,), optimizer=partial(Adam, lr=0.01))
        data, updates = RolloutDataModule(env, minibatches=2, epochs=2), 80
    elif kind == "rl2":
        sizes: dict[str, Any] = {"value_hidden": (16,), "memory": 8, "memory_hidden": (8,), "episodes": 2}
        agent = RL2(1, env.action_space, actor=partial(Actor, hidden=(16,)), optimizer=partial(Adam, lr=0.01), **sizes)
        data, updates = RolloutDataModule(env, minibatches=2, epochs=2), 80
    else:
        agent = EvolutionStrategy(1, env.action_space, hidden=(8,), members=16, kept=4, deviation=0.3)
        data, updates = RolloutDataModule(env, minibatches=1, epochs=1), 20
    train_quietly(agent, data, RolloutCollector(tasks_per_iteration=1), updates=updates)
    returns = evaluate_adaptation(env, agent, [0], episodes=1, matches=16).returns
    uniform = evaluate_adaptation(env, UniformAgent(1, env.action_space), [0], episodes=1, matches=64).returns
    assert returns.mean() == 5
    assert 1 < uniform.mean() < 2.4  # a third of 5
