"""The losses against TorchRL's SACLoss, closed forms and Monte-Carlo."""

import math

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torch.distributions import Normal, kl_divergence
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

from pearl_lightning import objectives
from pearl_lightning.action_space import ActionSpace
from pearl_lightning.distributions import HybridTanhGaussian
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.objectives import SacConfig

DERK = ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8))
BATCH, OBSERVATION, LATENT, ACTIONS, DISCOUNT = 64, 5, 2, 2, 0.97


def single_critic(ensemble: CriticEnsemble, member: int) -> nn.Module:
    """One member as a plain torch perceptron with the same numbers."""
    layers: list[nn.Module] = []
    for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
        linear = nn.Linear(weight.shape[2], weight.shape[1])
        linear.weight.data, linear.bias.data = weight[member].detach().clone(), bias[member, 0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class CriticOf(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([observation, action], dim=-1))


@pytest.fixture
def ours() -> tuple[Actor, CriticEnsemble]:
    torch.manual_seed(0)
    space = ActionSpace((-1.0,) * ACTIONS, (1.0,) * ACTIONS)
    features = OBSERVATION + LATENT
    return Actor(features, space, hidden=(32,)), CriticEnsemble(features + ACTIONS, 1, hidden=(32, 32))


@pytest.fixture
def torchrl_loss(ours: tuple[Actor, CriticEnsemble]) -> SACLoss:
    """TorchRL's SAC over the same numbers; z is part of its observation."""
    actor, critics = ours
    extractor = nn.Sequential(actor.body, NormalParamExtractor(scale_mapping="exp", scale_lb=1e-8))
    policy = ProbabilisticActor(
        TensorDictModule(extractor, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"tanh_loc": False, "safe_tanh": False},
    )
    values = [ValueOperator(CriticOf(single_critic(critics, i)), in_keys=["observation", "action"]) for i in range(2)]
    loss = SACLoss(
        policy, values, num_qvalue_nets=2, alpha_init=0.3, fixed_alpha=True, loss_function="l2", target_entropy=-2.0
    )
    SoftUpdate(loss, eps=0.995)  # or TorchRL warns
    loss.make_value_estimator(gamma=DISCOUNT)
    return loss


def sac_batch() -> TensorDict:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    following = TensorDict(
        observation=normal(BATCH, OBSERVATION + LATENT),
        reward=normal(BATCH, 1),
        terminated=torch.rand(BATCH, 1, generator=generator) < 0.2,
        batch_size=[BATCH],
    )
    following["done"] = following["terminated"].clone()
    return TensorDict(
        observation=normal(BATCH, OBSERVATION + LATENT),
        action=normal(BATCH, ACTIONS).tanh(),
        next=following,
        batch_size=[BATCH],
    )


def with_noise(actor: Actor, joint: torch.Tensor, noise: torch.Tensor) -> tuple[HybridTanhGaussian, torch.Tensor]:
    policy = actor(joint[:, :OBSERVATION], joint[:, OBSERVATION:])
    return policy, policy.pre_tanh(noise)


def test_critic_loss_equals_torchrls(ours: tuple[Actor, CriticEnsemble], torchrl_loss: SACLoss) -> None:
    (actor, critics), batch = ours, sac_batch()
    torch.manual_seed(11)
    expected = torchrl_loss(batch.clone())["loss_qvalue"]
    # TorchRL draws the actor loss' noise and the target's noise from the global generator: find which draw is ours
    torch.manual_seed(11)
    draws = [torch.randn(BATCH, ACTIONS) for _ in range(3)]
    temperatures = torch.tensor([0.3])
    candidates = []
    for noise in draws:
        policy, pre_tanh = with_noise(actor, batch["next", "observation"], noise)
        table = critics(torch.cat([batch["next", "observation"], policy.squash(pre_tanh)], dim=-1))
        value = objectives.soft_value(table, policy, pre_tanh, temperatures)
        target = objectives.bellman_target(
            batch["next", "reward"].squeeze(-1), batch["next", "terminated"].squeeze(-1), value, DISCOUNT
        )
        predicted = critics(torch.cat([batch["observation"], batch["action"]], dim=-1)).squeeze(-1)
        candidates.append(objectives.critic_loss(predicted, target))
    differences = torch.stack([(candidate - expected).abs() for candidate in candidates])
    assert float(differences.min()) < 1e-4 * float(expected), (expected, candidates)


def test_actor_loss_equals_torchrls(ours: tuple[Actor, CriticEnsemble], torchrl_loss: SACLoss) -> None:
    (actor, critics), batch = ours, sac_batch()
    torch.manual_seed(11)
    expected = torchrl_loss(batch.clone())["loss_actor"]
    torch.manual_seed(11)
    candidates = []
    for noise in [torch.randn(BATCH, ACTIONS) for _ in range(3)]:
        policy, pre_tanh = with_noise(actor, batch["observation"], noise)
        table = critics(torch.cat([batch["observation"], policy.squash(pre_tanh)], dim=-1))
        candidates.append(-objectives.soft_value(table, policy, pre_tanh, torch.tensor([0.3])).mean())
    differences = torch.stack([(candidate - expected).abs() for candidate in candidates])
    assert float(differences.min()) < 1e-4 * max(1.0, abs(float(expected))), (expected, candidates)


def test_exact_expectation_equals_monte_carlo() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(1, n, generator=generator).log_softmax(-1) for n in DERK.choices]
    policy = HybridTanhGaussian(torch.zeros(1, 3), torch.zeros(1, 3), tuple(logits), DERK)
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


def test_terminated_transitions_back_up_the_reward_alone() -> None:
    target = objectives.bellman_target(
        torch.tensor([1.0, 1.0]), torch.tensor([True, False]), torch.tensor([10.0, 10.0]), 0.9
    )
    torch.testing.assert_close(target, torch.tensor([1.0, 10.0]))


def test_temperature_rises_while_entropy_is_below_target() -> None:
    log_temperatures = torch.zeros(2, requires_grad=True)
    objectives.temperature_loss(log_temperatures, torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])).backward()
    assert log_temperatures.grad.tolist() == [-1.0, 1.0]  # gradient descent raises the first and lowers the second


def test_polyak_moves_the_target_by_its_rate() -> None:
    target, source = [torch.zeros(3)], [torch.ones(3)]
    for step in range(1, 4):
        objectives.polyak_update(target, source, 0.1)
        torch.testing.assert_close(target[0], torch.full((3,), 1 - 0.9**step))


def test_batched_critics_equal_separate_perceptrons(ours: tuple[Actor, CriticEnsemble]) -> None:
    critics, features = ours[1], torch.randn(7, OBSERVATION + LATENT + ACTIONS)
    separate = torch.stack([single_critic(critics, i)(features) for i in range(2)])
    torch.testing.assert_close(critics(features), separate)
    assert not torch.allclose(separate[0], separate[1])


def test_frozen_critics_pass_gradient_to_features_only(ours: tuple[Actor, CriticEnsemble]) -> None:
    critics, features = ours[1], torch.randn(7, OBSERVATION + LATENT + ACTIONS, requires_grad=True)
    critics(features, frozen=True).sum().backward()
    assert features.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critics.parameters())


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("discount", 0.0, r"in \(0, 1\]"),
        ("discount", 1.5, r"in \(0, 1\]"),
        ("target_rate", float("nan"), r"in \(0, 1\]"),
        ("reward_scale", -1.0, "above 0"),
        ("kl_weight", -0.1, "at least 0"),
        ("temperature", -1.0, "at least 0 or null"),
        ("target_choice_entropy", 1.0, r"in \(0, 1\)"),
    ],
)
def test_constants_outside_their_range_are_refused(name: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be {allowed}"):
        SacConfig(**{name: value})
