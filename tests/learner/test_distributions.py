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
from pearl_lightning.networks.distributions import HybridTanhGaussian

SPACE = ActionSpace((-1.0, -1.0, 0.0), (1.0, 2.0, 1.0), (4, 8))


@pytest.fixture
def policy() -> HybridTanhGaussian:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:  # in double: torch's own inverse tanh rounds
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logits = [normal(6, n).log_softmax(-1) for n in SPACE.choices]
    return HybridTanhGaussian(normal(6, 3), 0.5 * normal(6, 3), torch.cat(logits, dim=-1), SPACE)


def torch_gaussian(policy: HybridTanhGaussian) -> Independent:
    low, high = (torch.tensor(bounds, dtype=torch.float64) for bounds in (SPACE.low, SPACE.high))
    squash = [TanhTransform(), AffineTransform((low + high) / 2, (high - low) / 2)]
    return Independent(TransformedDistribution(Normal(policy.mean, policy.log_std.exp()), squash), 1)


def test_tanh_gaussian_log_prob_equals_torch(policy: HybridTanhGaussian) -> None:
    pre_tanh = policy.pre_tanh(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    action = policy.squash(pre_tanh)
    assert SPACE.spec((6,)).is_in(torch.cat([action, torch.zeros(6, 2)], dim=-1).float())
    torch.testing.assert_close(policy.log_prob(pre_tanh), torch_gaussian(policy).log_prob(action))


def test_log_density_integrates_to_one_over_the_actions_own_units() -> None:
    space = ActionSpace((-1.0,), (2.0,))
    pre_tanh = torch.linspace(-12, 12, 200_001, dtype=torch.float64).unsqueeze(-1)
    mean, log_std = torch.full_like(pre_tanh, 0.3), torch.full_like(pre_tanh, -0.2)
    policy = HybridTanhGaussian(mean, log_std, mean[:, :0], space)
    mass = torch.trapezoid(policy.log_prob(pre_tanh).exp(), policy.squash(pre_tanh).squeeze(-1))
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=1e-6, atol=0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_log_prob_is_exact_where_tanh_saturates(policy: HybridTanhGaussian, sign: int) -> None:
    far = torch.full_like(policy.mean, 400.0 * sign)  # log(1 - tanh²) is 2 (log 2 - 400) in double
    half = torch.tensor([1.0, 1.5, 0.5], dtype=torch.float64)
    log_slope = half.log() + 2 * (math.log(2) - 400)
    expected = (Normal(policy.mean, policy.log_std.exp()).log_prob(far) - log_slope).sum(-1)
    torch.testing.assert_close(policy.log_prob(far), expected)


def test_hybrid_log_probability_is_the_product_of_torchs_parts(policy: HybridTanhGaussian) -> None:
    pre_tanh = policy.mean
    first, second = (Categorical(logits=log_choice) for log_choice in policy.log_choices)
    joint = policy.joint_probabilities().log()
    for c in range(4):
        for f in range(8):
            index = SPACE.joint_index(torch.tensor([0.0, 0.0, 0.0, c, f]))
            discrete = first.log_prob(torch.tensor(c)) + second.log_prob(torch.tensor(f))
            hybrid = policy.log_prob(pre_tanh) + joint[:, index]
            expected = torch_gaussian(policy).log_prob(policy.squash(pre_tanh)) + discrete
            torch.testing.assert_close(hybrid, expected)


def test_choice_entropies_equal_torch(policy: HybridTanhGaussian) -> None:
    for entropy, log_choice in zip(policy.choice_entropies(), policy.log_choices, strict=True):
        torch.testing.assert_close(entropy, Categorical(logits=log_choice).entropy())


def test_samples_are_legal_and_follow_the_distribution(policy: HybridTanhGaussian) -> None:
    generator = torch.Generator().manual_seed(0)
    one = HybridTanhGaussian(
        policy.mean[:1].expand(40_000, -1),
        policy.log_std[:1].expand(40_000, -1),
        policy.logits[:1].expand(40_000, -1),
        SPACE,
    )
    actions = one.sample(generator)
    assert SPACE.spec((40_000,)).is_in(actions.float())
    for column, log_choice in zip((3, 4), policy.log_choices, strict=True):
        frequency = torch.bincount(actions[:, column].long(), minlength=log_choice.shape[1]) / len(actions)
        torch.testing.assert_close(frequency, log_choice[0].exp().float(), atol=0.012, rtol=0)
    low, high = (torch.tensor(bounds, dtype=torch.float64) for bounds in (SPACE.low, SPACE.high))
    before_tanh = torch.atanh((2 * (actions[:, :3] - low) / (high - low) - 1).clamp(-1 + 1e-12, 1 - 1e-12))
    torch.testing.assert_close(before_tanh.mean(0), policy.mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(before_tanh.std(0), policy.log_std[0].exp(), atol=0.05, rtol=0)


def test_the_choices_of_one_sample_are_independent(policy: HybridTanhGaussian) -> None:
    shape, logits = (40_000, 3), policy.logits[:1].expand(40_000, -1)
    one = HybridTanhGaussian(torch.zeros(shape), torch.zeros(shape), logits, SPACE)
    actions = one.sample(torch.Generator().manual_seed(0))
    joint = torch.bincount(SPACE.joint_index(actions), minlength=32) / len(actions)
    expected = torch.outer(*(choice[0].exp() for choice in policy.log_choices)).flatten()
    torch.testing.assert_close(joint, expected.float(), atol=0.01, rtol=0)


def test_the_generator_alone_decides_a_sample_on_any_device(policy: HybridTanhGaussian) -> None:
    mean, log_std, logits = (
        part.to("meta") for part in (policy.mean, policy.log_std, policy.logits)
    )  # stands in for a GPU
    ours, elsewhere = (torch.Generator().manual_seed(5) for _ in range(2))
    action = policy.sample(ours)
    torch.testing.assert_close(policy.sample(torch.Generator().manual_seed(5)), action, rtol=0, atol=0)
    assert HybridTanhGaussian(mean, log_std, logits, SPACE).sample(elsewhere).device.type == "meta"
    assert (ours.get_state() == elsewhere.get_state()).all()


def test_mode_is_the_mean_and_the_most_likely_options(policy: HybridTanhGaussian) -> None:
    mode = policy.mode()
    low, high = (torch.tensor(bounds, dtype=torch.float64) for bounds in (SPACE.low, SPACE.high))
    torch.testing.assert_close(mode[:, :3], (low + high) / 2 + (high - low) / 2 * policy.mean.tanh())
    joint = SPACE.joint_index(mode)
    assert (joint == policy.joint_probabilities().argmax(-1)).all()


def test_without_choices_there_is_one_joint_choice() -> None:
    space = ActionSpace((-1.0,), (1.0,))
    policy = HybridTanhGaussian(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, 0), space)
    torch.testing.assert_close(policy.joint_probabilities(), torch.ones(2, 1))
    assert torch.equal(policy.action_log_prob(torch.zeros(2, 1)), policy.log_prob(torch.zeros(2, 1)))
    assert math.isclose(float(policy.log_prob(torch.zeros(2, 1))[0]), -0.5 * math.log(2 * math.pi), rel_tol=1e-5)


def test_the_log_probability_of_whole_actions_is_that_of_torchs_parts(policy: HybridTanhGaussian) -> None:
    action = policy.sample(torch.Generator().manual_seed(2))
    discrete = [
        Categorical(logits=log_choice).log_prob(action[:, column])
        for column, log_choice in zip((3, 4), policy.log_choices, strict=True)
    ]
    expected = torch_gaussian(policy).log_prob(action[:, :3]) + sum(discrete)
    torch.testing.assert_close(policy.action_log_prob(action), expected, rtol=1e-5, atol=1e-5)


def test_the_log_probability_of_an_action_on_its_bound_is_finite(policy: HybridTanhGaussian) -> None:
    for bound in (SPACE.low, SPACE.high):
        action = torch.tensor([*bound, 0.0, 0.0]).expand(6, -1)
        assert policy.action_log_prob(action).isfinite().all()


@pytest.mark.parametrize("std", [0.1, 0.5, 1.5])
def test_the_entropy_is_the_mean_of_the_negative_log_probability(std: float) -> None:
    count = 200_000
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(count, -1)
    space = ActionSpace((-1.0, 0.0), (1.0, 5.0), (3,))
    mean, log_std = torch.tensor([0.4, -1.0]).expand(count, -1), torch.full((count, 2), math.log(std))
    policy = HybridTanhGaussian(mean, log_std, logits, space)
    action = policy.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(policy.entropy()[0], -policy.action_log_prob(action).mean(), atol=0.015, rtol=0)
