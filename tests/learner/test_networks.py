"""Perceptrons, critics and actors against plain torch modules with the same numbers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sac_reference import single_critic
from torch import nn
from torch.distributions import Categorical

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.layers import BatchedMLP, mlp

DERK = ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8))


def test_layer_norm_equals_torchs_without_learned_scales() -> None:
    critics = CriticEnsemble(5, 3, hidden=(8, 6), layer_norm=True)
    features = torch.randn(4, 5)
    for member, values in enumerate(critics(features)):
        first, _, second, _, last = single_critic(critics, member)
        hidden = nn.LayerNorm(8, elementwise_affine=False)(first(features)).relu()
        hidden = nn.LayerNorm(6, elementwise_affine=False)(second(hidden)).relu()
        torch.testing.assert_close(values, last(hidden))


def plain_perceptron(perceptron: nn.Sequential) -> nn.Sequential:
    """The same perceptron of torch's own layers."""
    plain: list[nn.Module] = []
    for layer in perceptron:
        if isinstance(layer, nn.Linear):
            copied = nn.Linear(layer.in_features, layer.out_features)
            copied.load_state_dict(layer.state_dict())
            plain.append(copied)
        else:
            plain.append(nn.ReLU())
    return nn.Sequential(*plain)


@pytest.mark.parametrize("hidden", [(16,), (20, 33), (7, 16, 5)])
def test_perceptrons_equal_torchs_in_outputs_and_gradients(hidden: tuple[int, ...]) -> None:
    perceptron = mlp(5, hidden, 3)
    assert [tuple(p.shape)[0] for p in perceptron.parameters()][::2] == [*hidden, 3]
    plain, features = plain_perceptron(perceptron), torch.randn(2, 6, 5)
    torch.testing.assert_close(perceptron(features), plain(features))
    perceptron(features).square().sum().backward()
    plain(features).square().sum().backward()
    for ours, theirs in zip(perceptron.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(16,), (20, 33), (7, 16, 5)])
def test_ensembles_equal_their_members_in_outputs_and_gradients(
    hidden: tuple[int, ...], layer_norm: bool, frozen: bool
) -> None:
    critics = BatchedMLP(2, 5, hidden, 3, layer_norm)
    features = torch.randn(6, 5, requires_grad=True)
    values = critics(features, frozen)
    (ours,) = torch.autograd.grad(values.square().sum(), features, retain_graph=True)
    expected = []
    for member in range(2):
        hidden_features = features
        for layer, (weight, bias) in enumerate(zip(critics.weights, critics.biases, strict=True)):
            hidden_features = hidden_features @ weight[member].T + bias[member]
            if layer < len(hidden):
                if layer_norm:
                    hidden_features = nn.functional.layer_norm(hidden_features, hidden_features.shape[-1:])
                hidden_features = hidden_features.relu()
        expected.append(hidden_features)
    torch.testing.assert_close(values, torch.stack(expected))
    loss = torch.stack(expected).square().sum()
    theirs, *gradients = torch.autograd.grad(loss, [features, *critics.parameters()])
    torch.testing.assert_close(ours, theirs)
    if not frozen:
        values.square().sum().backward()
        for parameter, gradient in zip(critics.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(8,), (8, 6, 4)])
def test_gradients_of_a_member_depend_on_that_member_alone(hidden: tuple[int, ...], layer_norm: bool) -> None:
    critics = BatchedMLP(3, 5, hidden, 2, layer_norm)
    critics(torch.randn(16, 5))[1].sum().backward()
    for parameter in critics.parameters():
        assert (parameter.grad[[0, 2]] == 0).all()
        assert (parameter.grad[1] != 0).any()


def test_members_start_apart_and_as_torch_starts_a_perceptron() -> None:
    torch.manual_seed(0)
    critics = BatchedMLP(2, 64, (400, 400), 10)
    for weight, bias, fan_in in zip(critics.weights, critics.biases, (64, 400, 400), strict=True):
        bound = 1 / math.sqrt(fan_in)
        for values in (weight, bias):
            assert float(values.detach().abs().max()) <= bound
            assert not torch.isclose(values[0], values[1]).any(dim=-1).all()
        deviation = bound / math.sqrt(3)  # of a uniform on [-bound, bound]
        torch.testing.assert_close(weight.std(dim=(1, 2)), torch.full((2,), deviation), rtol=0.03, atol=0)


def test_the_actors_heads_are_slices_of_one_perceptron() -> None:
    actor = Actor(7, DERK, hidden=(16,))
    observation, z = torch.randn(9, 5), torch.randn(9, 2)
    outputs = actor.body(torch.cat([observation, z], dim=-1))
    policy = actor(observation, z)
    torch.testing.assert_close(policy.mean, outputs[:, :3])
    torch.testing.assert_close(policy.log_std, outputs[:, 3:6])
    first, second = (Categorical(logits=logits) for logits in (outputs[:, 6:10], outputs[:, 10:]))
    torch.testing.assert_close(policy.log_choices[0], first.logits)
    torch.testing.assert_close(policy.log_choices[1], second.logits)
    joint = torch.einsum("bi,bj->bij", first.probs, second.probs).flatten(1)
    torch.testing.assert_close(policy.joint_probabilities(), joint)


def test_log_std_stays_within_its_bounds() -> None:
    actor = Actor(3, DERK, hidden=(4,))
    log_std = actor(1000 * torch.randn(200, 2), 1000 * torch.randn(200, 1)).log_std.detach()
    assert (float(log_std.min()), float(log_std.max())) == (-20.0, 2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp(0, (4,), 1), "inputs must contain sizes of at least 1, got 0"),
        (lambda: mlp(3, (4, 0), 1), r"hidden must contain sizes of at least 1, got \(4, 0\)"),
        (lambda: BatchedMLP(0, 3, (4,), 1), "members must contain sizes of at least 1, got 0"),
        (lambda: CriticEnsemble(3, 0), "outputs must contain sizes of at least 1, got 0"),
        (lambda: GaussianProductEncoder(3, latent_dim=0), "latent_dim must contain sizes of at least 1, got 0"),
        (lambda: Actor(3, DERK, hidden=(0,)), r"hidden must contain sizes of at least 1, got \(0,\)"),
    ],
)
def test_sizes_outside_their_range_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_last_layers_compute_in_float32_whatever_the_others_do() -> None:
    torch.manual_seed(0)
    features = torch.randn(5, 6)
    for network in (mlp(6, (16,), 3), BatchedMLP(2, 6, (16,), 3), BatchedMLP(2, 6, (16,), 3, layer_norm=True)):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(features)
        exact = network(features)
        assert rounded.dtype == torch.float32
        assert not torch.equal(rounded, rounded.bfloat16().float())  # not merely widened
        assert not torch.equal(rounded, exact)
        torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
