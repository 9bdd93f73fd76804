"""The losses against TorchRL's SACLoss, closed forms and Monte-Carlo."""

import math

import pytest
import torch
from sac_reference import constant_noise, single_critic, torchrl_batch, torchrl_sac
from tensordict import TensorDict
from torch.distributions import Normal, kl_divergence
from torchrl.data.postprocs import MultiStep
from torchrl.objectives import SACLoss

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents import objectives
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.distributions import HybridTanhGaussian

DERK = ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8))
BATCH, OBSERVATION, LATENT, ACTIONS, DISCOUNT, TEMPERATURE = 64, 5, 2, 2, 0.97, 0.3
Networks = tuple[Actor, CriticEnsemble, CriticEnsemble]


@pytest.fixture
def ours() -> Networks:
    """Actor, critics and target critics with other numbers than the critics."""
    torch.manual_seed(0)
    space = ActionSpace((-1.0,) * ACTIONS, (1.0,) * ACTIONS)
    features = OBSERVATION + LATENT
    critics, target = (CriticEnsemble(features + ACTIONS, 1, hidden=(32, 32)) for _ in range(2))
    return Actor(features, space, hidden=(32,)), critics, target


@pytest.fixture
def torchrl_loss(ours: Networks) -> SACLoss:
    return torchrl_sac(*ours, temperature=TEMPERATURE, discount=DISCOUNT)


@pytest.fixture
def batch() -> TensorDict:
    generator = torch.Generator().manual_seed(3)
    observations = 4 * torch.rand(2, BATCH, OBSERVATION + LATENT, generator=generator) - 2
    action = 1.8 * torch.rand(BATCH, ACTIONS, generator=generator) - 0.9
    reward = 4 * torch.rand(BATCH, generator=generator) - 2
    terminated = torch.rand(BATCH, generator=generator) < 0.2
    return torchrl_batch(observations[0], action, reward, observations[1], terminated)


def sampled_value(actor: Actor, critics: CriticEnsemble, joint: torch.Tensor) -> torch.Tensor:
    """Soft value of observations with z ``[batch, feature]``, by the noise that TorchRL draws too."""
    policy = actor(joint[:, :OBSERVATION], joint[:, OBSERVATION:])
    pre_tanh = policy.pre_tanh(constant_noise(policy.mean.shape))
    table = critics(torch.cat([joint, policy.squash(pre_tanh)], dim=-1))
    return objectives.soft_value(table, policy, pre_tanh, torch.tensor([TEMPERATURE]))


def gradients(loss: torch.Tensor, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [gradient.squeeze() for gradient in torch.autograd.grad(loss, parameters, retain_graph=True)]


@pytest.mark.usefixtures("fixed_noise")
def test_critic_loss_and_its_gradient_equal_torchrls(ours: Networks, torchrl_loss: SACLoss, batch: TensorDict) -> None:
    actor, critics, target = ours
    following = batch["next"]
    backed_up = objectives.bellman_target(
        following["reward"],
        torch.ones(following.shape, dtype=torch.long),
        following["terminated"].squeeze(-1),
        sampled_value(actor, target, following["observation"]),
        DISCOUNT,
    )
    predicted = critics(torch.cat([batch["observation"], batch["action"]], dim=-1)).squeeze(-1)
    loss = objectives.critic_loss(predicted, backed_up)
    expected = torchrl_loss(batch.clone())["loss_qvalue"]
    torch.testing.assert_close(loss, expected)
    layers = zip(critics.weights, critics.biases, strict=True)
    theirs = list(torchrl_loss.qvalue_network_params.values(True, True))
    for got, wanted in zip(
        gradients(loss, [p for layer in layers for p in layer]), gradients(expected, theirs), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("fixed_noise")
def test_actor_loss_and_its_gradient_equal_torchrls(ours: Networks, torchrl_loss: SACLoss, batch: TensorDict) -> None:
    actor, critics, _ = ours
    loss = -sampled_value(actor, critics, batch["observation"]).mean()
    expected = torchrl_loss(batch.clone())["loss_actor"]
    torch.testing.assert_close(loss, expected)
    theirs = list(torchrl_loss.actor_network_params.values(True, True))
    for got, wanted in zip(gradients(loss, list(actor.parameters())), gradients(expected, theirs), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_exact_expectation_equals_monte_carlo() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(1, n, generator=generator).log_softmax(-1) for n in DERK.choices]
    policy = HybridTanhGaussian(torch.zeros(1, 3), torch.zeros(1, 3), torch.cat(logits, dim=-1), DERK)
    table = torch.randn(2, 1, 32, generator=generator)
    pre_tanh = torch.zeros(1, 3)
    temperatures = torch.tensor([0.3, 0.2, 0.1])
    draws = 200_000
    first = torch.multinomial(logits[0].exp()[0], draws, replacement=True, generator=generator)
    second = torch.multinomial(logits[1].exp()[0], draws, replacement=True, generator=generator)
    sampled = table.amin(0)[0, first * 8 + second] - 0.2 * logits[0][0, first] - 0.1 * logits[1][0, second]
    estimate = sampled.mean() - 0.3 * policy.log_prob(pre_tanh)[0]
    exact = objectives.soft_value(table, policy, pre_tanh, temperatures)[0]
    assert abs(float(exact - estimate)) < 5 * float(sampled.std()) / math.sqrt(draws)


def test_played_values_gathers_the_entry_that_was_played() -> None:
    table = torch.arange(2 * 3 * 32.0).reshape(2, 3, 32)
    action = torch.tensor([[0, 0, 0, 1, 2], [0, 0, 0, 3, 7], [0, 0, 0, 0, 0]]).float()
    played = objectives.played_values(table, DERK.joint_index(action))
    assert played.tolist() == [[10.0, 63.0, 64.0], [106.0, 159.0, 160.0]]


def test_kl_equals_torchs() -> None:
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    expected = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(objectives.kl_to_prior(mean, std), expected)


def test_terminated_transitions_back_up_the_rewards_alone() -> None:
    rewards, steps = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 0.0]]), torch.tensor([2, 2, 1])
    terminated, next_value = torch.tensor([True, False, False]), torch.full((3,), 10.0)
    target = objectives.bellman_target(rewards, steps, terminated, next_value, 0.9)
    torch.testing.assert_close(target, torch.tensor([2.8, 2.8 + 8.1, 1.0 + 9.0]))


def test_backed_up_rewards_equal_torchrls_multi_step() -> None:
    generator, horizon, n_steps = torch.Generator().manual_seed(0), 7, 3
    reward, value = (torch.randn(horizon, generator=generator) for _ in range(2))
    ended = torch.arange(1, horizon + 1).unsqueeze(-1) == horizon  # cut off; TorchRL would bootstrap from an end, too
    following = TensorDict({"reward": reward.unsqueeze(-1), "value": value, "done": ended}, batch_size=[horizon])
    theirs = MultiStep(0.9, n_steps)(TensorDict({"next": following}, batch_size=[horizon]).unsqueeze(0))[0]
    expected = objectives.bellman_target(
        theirs["next", "reward"],
        theirs["steps_to_next_obs"].squeeze(-1),
        torch.zeros(horizon),
        theirs["next", "value"],
        0.9,
    )  # the rewards are summed already
    ahead = torch.arange(horizon).unsqueeze(-1) + torch.arange(n_steps)
    steps = (horizon - torch.arange(horizon)).clamp_max(n_steps)
    rewards = reward[ahead.clamp_max(horizon - 1)] * (ahead < horizon)
    last = torch.arange(horizon) + steps - 1
    ours = objectives.bellman_target(rewards, steps, torch.zeros(horizon), value[last], 0.9)
    torch.testing.assert_close(ours, expected)


def test_temperature_rises_while_entropy_is_below_target() -> None:
    log_temperatures = torch.zeros(2, requires_grad=True)
    objectives.temperature_loss(log_temperatures, torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])).backward()
    assert log_temperatures.grad.tolist() == [-1.0, 1.0]  # gradient descent raises the first and lowers the second


def test_polyak_moves_the_target_by_its_rate() -> None:
    target, source = [torch.zeros(3)], [torch.ones(3)]
    for step in range(1, 4):
        objectives.polyak_update(target, source, 0.1)
        torch.testing.assert_close(target[0], torch.full((3,), 1 - 0.9**step))


def test_batched_critics_equal_separate_perceptrons(ours: Networks) -> None:
    critics, features = ours[1], torch.randn(7, OBSERVATION + LATENT + ACTIONS)
    separate = torch.stack([single_critic(critics, i)(features) for i in range(2)])
    torch.testing.assert_close(critics(features), separate)
    assert not torch.allclose(separate[0], separate[1])


def test_frozen_critics_pass_gradient_to_features_only(ours: Networks) -> None:
    critics, features = ours[1], torch.randn(7, OBSERVATION + LATENT + ACTIONS, requires_grad=True)
    critics(features, frozen=True).sum().backward()
    assert features.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critics.parameters())
