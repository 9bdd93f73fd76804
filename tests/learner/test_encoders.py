"""Every encoder's contract; the Gaussian products and the others against closed forms."""

import pytest
import torch
from small_pearl import OBSERVATION, SPACES, losses, meta_batch
from torch import Tensor
from torch.nn.functional import softplus

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.inference.encoders import (
    AttentionEncoder,
    BayesianProductEncoder,
    ContextEncoder,
    ContextFreeEncoder,
    GaussianProductEncoder,
    MeanEncoder,
    RecurrentEncoder,
)
from pearl_lightning.inference.encoders.encoder import MIN_STD
from pearl_lightning.inference.encoders.products import INITIAL_LOG_PRECISION


@pytest.fixture(params=[GaussianProductEncoder, BayesianProductEncoder])
def encoder(request: pytest.FixtureRequest) -> GaussianProductEncoder:
    torch.manual_seed(0)
    return request.param(7, latent_dim=3, hidden=(16,))


@pytest.fixture(
    params=[GaussianProductEncoder, BayesianProductEncoder, MeanEncoder, AttentionEncoder, RecurrentEncoder]
)
def any_encoder(request: pytest.FixtureRequest) -> ContextEncoder:
    torch.manual_seed(0)
    return request.param(7, latent_dim=3, hidden=(16,))


def test_nothing_read_is_the_prior(any_encoder: ContextEncoder) -> None:
    mean, std = any_encoder.posterior(any_encoder.initial_state(4))
    assert torch.equal(mean, torch.zeros(4, 3))
    assert torch.equal(std, torch.ones(4, 3))


def test_what_is_read_in_parts_is_what_is_read_at_once(any_encoder: ContextEncoder) -> None:
    context = 3 * torch.randn(4, 30, 7)
    state = any_encoder.initial_state(4)
    for part in context.split([0, 1, 9, 0, 20], dim=1):
        state = any_encoder.update(state, part)
    for in_parts, at_once in zip(any_encoder.posterior(state), any_encoder(context), strict=True):
        torch.testing.assert_close(in_parts, at_once)


def test_tasks_are_read_apart_and_every_parameter_learns(any_encoder: ContextEncoder) -> None:
    context = torch.randn(2, 10, 7, requires_grad=True)
    mean, std = any_encoder(context)
    (mean[0].sum() + std[0].sum()).backward()  # type: ignore[no-untyped-call]
    assert context.grad is not None
    assert context.grad[0].abs().sum() > 0
    assert context.grad[1].abs().sum() == 0
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in any_encoder.parameters())


def test_only_the_recurrent_encoder_sees_the_order(any_encoder: ContextEncoder) -> None:
    context = torch.randn(3, 64, 7)
    (ordered, _), (shuffled, _) = any_encoder(context), any_encoder(context[:, torch.randperm(64)])
    assert torch.allclose(ordered, shuffled, atol=1e-5) != isinstance(any_encoder, RecurrentEncoder)


def test_attention_is_a_softmax_over_all_that_was_read() -> None:
    torch.manual_seed(0)
    encoder = AttentionEncoder(7, latent_dim=3, hidden=(16,), queries=2, values=4)
    context = torch.randn(3, 20, 7)
    context[0] *= 50  # large scores are no trouble
    score, value = encoder.scores_and_values(context)
    found = torch.einsum("tqn,tqnv->tqv", score.softmax(dim=-1), value)
    head = encoder.head(torch.cat([found.flatten(1), torch.full((3, 1), 21.0).log()], dim=-1))
    state = encoder.initial_state(3)
    for part in context.split(5, dim=1):
        state = encoder.update(state, part)
    torch.testing.assert_close(encoder.posterior(state)[0], head[:, :3])
    torch.testing.assert_close(encoder.posterior(state)[1], softplus(head[:, 3:]) + MIN_STD)


def test_the_mean_is_that_of_the_embeddings_and_their_number_is_known() -> None:
    encoder = MeanEncoder(7, latent_dim=3, hidden=(16,), embedding=5)
    context = torch.randn(2, 6, 7)
    twice = torch.cat([context, context], dim=1)
    summary = torch.cat([encoder.embed(context).mean(dim=1), torch.full((2, 1), 7.0).log()], dim=-1)
    torch.testing.assert_close(encoder(context)[0], encoder.head(summary)[:, :3])
    assert not torch.allclose(encoder(context)[1], encoder(twice)[1])


def factors(encoder: GaussianProductEncoder, context: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance ``[task, factor, latent]`` of all that is multiplied."""
    mean, raw = encoder.factor(context).double().chunk(2, dim=-1)
    if isinstance(encoder, BayesianProductEncoder):
        variance = (-raw - INITIAL_LOG_PRECISION).exp().clamp_min(encoder.min_variance)
        prior = torch.zeros(len(context), 1, 3, dtype=torch.float64)
        return torch.cat([prior, mean], dim=1), torch.cat([prior + 1, variance], dim=1)
    return mean, softplus(raw).clamp_min(encoder.min_variance)


def test_posterior_is_the_normalized_product_of_densities(encoder: GaussianProductEncoder) -> None:
    context = torch.randn(1, 4, 7)
    mean, variance = factors(encoder, context)
    grid = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    for latent in range(3):
        log_density = sum(
            torch.distributions.Normal(mean[0, n, latent], variance[0, n, latent].sqrt()).log_prob(grid)
            for n in range(mean.shape[1])
        )
        density = (log_density - log_density.max()).exp()
        density = density / density.sum()
        expected_mean = (density * grid).sum()
        expected_std = (density * (grid - expected_mean).square()).sum().sqrt()
        z_mean, z_std = encoder(context)
        torch.testing.assert_close(z_mean[0, latent].double(), expected_mean, atol=1e-4, rtol=0)
        torch.testing.assert_close(z_std[0, latent].double(), expected_std, atol=1e-4, rtol=0)


def test_posterior_equals_sequential_bayes(encoder: GaussianProductEncoder) -> None:
    context = torch.randn(2, 30, 7)
    mean, variance = factors(encoder, context)
    running_mean, running_variance = mean[:, 0], variance[:, 0]
    for n in range(1, mean.shape[1]):  # one Gaussian observation after another, by the Kalman gain
        gain = running_variance / (running_variance + variance[:, n])
        running_mean = running_mean + gain * (mean[:, n] - running_mean)
        running_variance = (1 - gain) * running_variance
    z_mean, z_std = encoder(context)
    torch.testing.assert_close(z_mean.double(), running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z_std.double(), running_variance.sqrt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan")])
def test_minimum_variance_outside_its_range_is_refused(variance: float) -> None:
    with pytest.raises(ValueError, match="min_variance must be above 0"):
        GaussianProductEncoder(7, min_variance=variance)


def test_only_the_bayesian_product_can_hear_a_hundred_transitions_that_say_nothing() -> None:
    silent = torch.zeros(1, 100, 7)
    original, bayesian = GaussianProductEncoder(7), BayesianProductEncoder(7)
    with torch.no_grad():
        for encoder, raw in ((original, 1.0), (bayesian, -8.0)):  # variances of 1.3, precisions of exp(-12)
            encoder.factor[-1].weight.zero_()
            encoder.factor[-1].bias.copy_(torch.cat([torch.ones(5), torch.full((5,), raw)]))
    mean, std = bayesian(silent)
    torch.testing.assert_close(mean, torch.zeros(1, 5), atol=1e-3, rtol=0)
    torch.testing.assert_close(std, torch.ones(1, 5), atol=1e-3, rtol=0)
    assert (original(silent)[1] < 0.12).all()


def test_a_bayesian_products_factor_is_no_narrower_than_its_bound() -> None:
    encoder = BayesianProductEncoder(7, min_variance=0.25)
    with torch.no_grad():
        encoder.factor[-1].bias.fill_(100.0)
    _, std = encoder(torch.zeros(1, 1, 7))
    torch.testing.assert_close(std, torch.full((1, 5), (1 + 4) ** -0.5))


def test_without_context_the_losses_are_those_of_a_plain_soft_actor_critic_whatever_the_context() -> None:
    """A z without numbers adds nothing to any network's input; there is no bottleneck and nothing to learn of it."""
    torch.manual_seed(0)
    pearl = PEARL(OBSERVATION, SPACES["hybrid"], encoder=ContextFreeEncoder)
    batch, other = meta_batch(SPACES["hybrid"]), meta_batch(SPACES["hybrid"], seed=1)
    other["transitions"] = batch["transitions"]
    first, second = losses(pearl, batch), losses(pearl, other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert float(first["loss/kl"]) == 0
    assert pearl.actor.body[0].in_features == OBSERVATION
    assert len(pearl.configure_optimizers()) == 3  # actor, critics, temperatures
    assert all(torch.isfinite(term) for term in pearl.losses(batch).values())


def test_a_belief_without_context_never_changes() -> None:
    pearl = PEARL(OBSERVATION, SPACES["hybrid"], encoder=ContextFreeEncoder)
    belief = pearl.prior(4)
    belief.observe(meta_batch(SPACES["hybrid"])["context"][:, 0])
    assert belief.condition().shape == (4, 0)
    assert [part.shape for part in belief.posterior()] == [(4, 0), (4, 0)]
