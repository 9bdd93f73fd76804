"""The evolution strategy: who plays where, what its generations are worth, where the mean goes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from environments import AGENTS, FEATURES, SPACE, CountingEnv, train_quietly
from pytorch_lightning import Trainer
from tensordict import TensorDict
from torch import nn

from pearl_lightning.agents.evolution_strategy import EvolutionStrategy
from pearl_lightning.callbacks import RolloutCollector
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.experience.rollouts import RolloutDataModule


def perceptron(weights: torch.Tensor, sizes: list[int]) -> nn.Sequential:
    """The network that flat weights stand for, layer by layer: inputs times outputs, then the biases."""
    layers: list[nn.Module] = []
    first = 0
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layer = nn.Linear(inputs, outputs)
        layer.weight.data = weights[first : first + inputs * outputs].view(inputs, outputs).T
        layer.bias.data = weights[first + inputs * outputs : first + (inputs + 1) * outputs]
        layers += [layer, nn.ReLU()]
        first += (inputs + 1) * outputs
    assert first == len(weights)
    return nn.Sequential(*layers[:-1])


def test_each_member_plays_its_own_weights_in_its_own_arenas() -> None:
    torch.manual_seed(0)
    agent = EvolutionStrategy(FEATURES, SPACE, hidden=(5, 4), members=3, kept=1, deviation=0.5)
    observation = torch.randn(6, AGENTS, FEATURES)
    played = agent.explore(6, torch.Generator().manual_seed(4))(observation, 0)
    noise = 0.5 * torch.randn(3, len(agent.mean), generator=torch.Generator().manual_seed(4))
    for arena in range(6):
        network = perceptron((agent.mean + noise[arena % 3]).detach(), [FEATURES, 5, 4, 5])
        mean, logits = network(observation[arena]).split([2, 3], dim=-1)
        expected = torch.cat([mean.tanh() + torch.tensor([0.0, 1.0]), logits.argmax(-1, keepdim=True)], dim=-1)
        torch.testing.assert_close(played[arena], expected)
    assert SPACE.spec((6, AGENTS)).is_in(played)


def test_a_members_fitness_is_its_mean_team_return() -> None:
    agent = EvolutionStrategy(FEATURES, SPACE, members=2, kept=1)
    env = CountingEnv(arenas=6, has_training_reward=True)
    episode = play_episode(env, FunctionPlayer(agent.explore(6, torch.Generator().manual_seed(0))))
    returns = [float(episode["training_reward"][arena].sum()) for arena in range(6)]
    expected = torch.tensor([sum(returns[member::2]) / 3 for member in range(2)])
    torch.testing.assert_close(agent.experience([episode])["fitness"], expected)


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_the_mean_moves_to_that_of_the_kept_members(rate: float) -> None:
    agent = EvolutionStrategy(FEATURES, SPACE, members=4, kept=2, rate=rate)
    agent.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    agent.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    before = agent.mean.detach().clone()
    perturbation = torch.randn(4, len(before))
    batch = TensorDict({"perturbation": perturbation, "fitness": torch.tensor([1.0, 9.0, -3.0, 4.0])}, batch_size=[4])
    optimizer = agent.configure_optimizers()
    agent.training_step(batch, 0).backward()
    optimizer.step()
    torch.testing.assert_close(agent.mean.detach(), before + rate * (perturbation[1] + perturbation[3]) / 2)


def test_it_comes_to_play_what_pays() -> None:
    """The counting environment pays each agent its first action component, at most 1."""
    torch.manual_seed(0)
    agent = EvolutionStrategy(FEATURES, SPACE, hidden=(4,), members=16, kept=4, deviation=0.3)
    data = RolloutDataModule(CountingEnv(arenas=16), minibatches=1, epochs=1)
    train_quietly(agent, data, RolloutCollector(tasks_per_iteration=1), updates=40)
    assert agent.act(torch.zeros(1, 3, FEATURES), torch.empty(1, 0))[..., 0].mean() > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kept": 33}, r"kept must be in \[1, 32\], the number of members, got 33"),
        ({"deviation": 0.0}, "deviation must be above 0 and finite, got 0.0"),
        ({"rate": 2.0}, r"rate must be in \(0, 1\], got 2.0"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvolutionStrategy(FEATURES, SPACE, **settings)


@pytest.mark.parametrize("data", [{"minibatches": 2, "epochs": 1}, {"minibatches": 1, "epochs": 4}])
def test_a_generation_in_parts_or_again_is_refused(data: dict[str, int]) -> None:
    agent, rollouts = EvolutionStrategy(FEATURES, SPACE), RolloutDataModule(CountingEnv(), **data)
    trainer = Trainer(max_steps=1, logger=False, accelerator="cpu", callbacks=[RolloutCollector(tasks_per_iteration=2)])
    with pytest.raises(ValueError, match="minibatches and epochs must be 1 for EvolutionStrategy, got"):
        trainer.fit(agent, rollouts)


def test_members_that_do_not_divide_the_arenas_are_refused() -> None:
    with pytest.raises(ValueError, match="members must divide the 5 arenas, got 32"):
        EvolutionStrategy(FEATURES, SPACE).explore(5, torch.Generator())
