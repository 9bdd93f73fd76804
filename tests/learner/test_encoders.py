"""The Gaussian product against closed forms."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pearl_lightning.networks.encoders import GaussianProductEncoder


@pytest.fixture
def encoder() -> GaussianProductEncoder:
    torch.manual_seed(0)
    return GaussianProductEncoder(7, latent_dim=3, hidden=(16,))


def factors(encoder: GaussianProductEncoder, context: Tensor) -> tuple[Tensor, Tensor]:
    mean, raw = encoder.factor(context).double().chunk(2, dim=-1)
    return mean, softplus(raw).clamp_min(encoder.min_variance)


def test_posterior_is_the_normalized_product_of_densities(encoder: GaussianProductEncoder) -> None:
    context = torch.randn(1, 4, 7)
    mean, variance = factors(encoder, context)
    grid = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    for latent in range(3):
        log_density = sum(
            torch.distributions.Normal(mean[0, n, latent], variance[0, n, latent].sqrt()).log_prob(grid)
            for n in range(4)
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
    for n in range(1, 30):  # one Gaussian observation after another, by the Kalman gain
        gain = running_variance / (running_variance + variance[:, n])
        running_mean = running_mean + gain * (mean[:, n] - running_mean)
        running_variance = (1 - gain) * running_variance
    z_mean, z_std = encoder(context)
    torch.testing.assert_close(z_mean.double(), running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z_std.double(), running_variance.sqrt(), rtol=1e-4, atol=1e-5)


def test_posterior_ignores_the_order_of_transitions(encoder: GaussianProductEncoder) -> None:
    context = torch.randn(3, 64, 7)
    for ordered, shuffled in zip(encoder(context), encoder(context[:, torch.randperm(64)]), strict=True):
        torch.testing.assert_close(ordered, shuffled)


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan")])
def test_minimum_variance_outside_its_range_is_refused(variance: float) -> None:
    with pytest.raises(ValueError, match="min_variance must be above 0"):
        GaussianProductEncoder(7, min_variance=variance)
