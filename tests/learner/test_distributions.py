"""The policies' distributions against torch.distributions."""

import math

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Categorical,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
)

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.distributions import HybridTanhGaussian

SPACE = ActionSpace((-1.0, -1.0, 0.0), (1.0, 2.0, 1.0), (4, 8))


@pytest.fixture
def policy() -> HybridTanhGaussian:
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(6, n, generator=generator).log_softmax(-1) for n in SPACE.choices]
    mean = torch.randn(6, 3, generator=generator)
    return HybridTanhGaussian(mean, 0.5 * torch.randn(6, 3, generator=generator), tuple(logits), SPACE)


def torch_gaussian(policy: HybridTanhGaussian) -> Independent:
    low, high = torch.tensor(SPACE.low), torch.tensor(SPACE.high)
    squash = [TanhTransform(), AffineTransform((low + high) / 2, (high - low) / 2)]
    return Independent(TransformedDistribution(Normal(policy.mean, policy.log_std.exp()), squash), 1)


def test_tanh_gaussian_log_prob_equals_torch(policy: HybridTanhGaussian) -> None:
    pre_tanh = policy.pre_tanh(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    expected = torch_gaussian(policy).log_prob(policy.squash(pre_tanh))
    torch.testing.assert_close(policy.log_prob(pre_tanh), expected, rtol=1e-4, atol=1e-4)


def test_log_prob_is_finite_where_tanh_saturates(policy: HybridTanhGaussian) -> None:
    far = torch.full_like(policy.mean, 40.0)
    assert torch.isfinite(policy.log_prob(far)).all()


def test_hybrid_log_probability_is_the_product_of_torchs_parts(policy: HybridTanhGaussian) -> None:
    pre_tanh = policy.pre_tanh(torch.zeros(6, 3))
    first, second = (Categorical(logits=log_choice) for log_choice in policy.log_choices)
    joint = policy.joint_probabilities().log()
    for c in range(4):
        for f in range(8):
            index = SPACE.joint_index(torch.tensor([0.0, 0.0, 0.0, c, f]))
            discrete = first.log_prob(torch.tensor(c)) + second.log_prob(torch.tensor(f))
            hybrid = policy.log_prob(pre_tanh) + joint[:, index]
            expected = torch_gaussian(policy).log_prob(policy.squash(pre_tanh)) + discrete
            torch.testing.assert_close(hybrid, expected, rtol=1e-4, atol=1e-4)


def test_choice_entropies_equal_torch(policy: HybridTanhGaussian) -> None:
    for entropy, log_choice in zip(policy.choice_entropies(), policy.log_choices, strict=True):
        torch.testing.assert_close(entropy, Categorical(logits=log_choice).entropy())


def test_samples_are_legal_and_follow_the_distribution(policy: HybridTanhGaussian) -> None:
    generator = torch.Generator().manual_seed(0)
    one = HybridTanhGaussian(
        policy.mean[:1].expand(40_000, -1),
        policy.log_std[:1].expand(40_000, -1),
        tuple(choice[:1].expand(40_000, -1) for choice in policy.log_choices),
        SPACE,
    )
    actions = one.sample(generator)
    assert SPACE.spec((40_000,)).is_in(actions)
    for column, log_choice in zip((3, 4), policy.log_choices, strict=True):
        frequency = torch.bincount(actions[:, column].long(), minlength=log_choice.shape[1]) / len(actions)
        torch.testing.assert_close(frequency, log_choice[0].exp(), atol=0.012, rtol=0)
    before_tanh = torch.atanh((actions[:, 0]).clamp(-1 + 1e-6, 1 - 1e-6))
    assert abs(float(before_tanh.mean() - policy.mean[0, 0])) < 0.03


def test_mode_is_deterministic_and_most_likely(policy: HybridTanhGaussian) -> None:
    torch.testing.assert_close(policy.mode(), policy.mode(), rtol=0, atol=0)
    assert (policy.mode()[:, 3] == policy.log_choices[0].argmax(-1)).all()


def test_without_choices_there_is_one_joint_choice() -> None:
    space = ActionSpace((-1.0,), (1.0,))
    policy = HybridTanhGaussian(torch.zeros(2, 1), torch.zeros(2, 1), (), space)
    torch.testing.assert_close(policy.joint_probabilities(), torch.ones(2, 1))
    assert math.isclose(float(policy.log_prob(torch.zeros(2, 1))[0]), -0.5 * math.log(2 * math.pi), rel_tol=1e-5)
