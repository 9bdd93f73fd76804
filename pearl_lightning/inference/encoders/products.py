"""Context encoders with a product of one Gaussian per transition as posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pearl_lightning.inference.encoders.encoder import ContextEncoder
from pearl_lightning.networks.layers import check_sizes, mlp

INITIAL_LOG_PRECISION = -4.0
"""Approximate log-precision of a transition before training: about fifty transitions weigh as much as the prior."""


class GaussianProductEncoder(ContextEncoder):
    """Task posterior as a product of one Gaussian per transition (Rakelly et al. 2019, sec. 4.1).

    The product is symmetric, so the order of the transitions does not matter. The running state is the sum of the
    factors' precisions and the sum of their precision-weighted means, ``[task, 2, latent]``.

    Args:
        context_features: Number of features of a transition.
        latent_dim: Size of z.
        hidden: Widths of the hidden layers.
        min_variance: Lower bound of a factor's variance; must be positive.
    """

    def __init__(
        self,
        context_features: int,
        latent_dim: int = 5,
        hidden: Sequence[int] = (256, 256),
        min_variance: float = 1e-7,
    ) -> None:
        super().__init__(context_features, latent_dim)
        check_sizes(latent_dim=latent_dim)
        if not min_variance > 0:
            raise ValueError(f"min_variance must be above 0, got {min_variance}")
        self.min_variance = min_variance
        self.factor = mlp(context_features, hidden, 2 * latent_dim)

    def initial_state(self, tasks: int) -> Tensor:
        return torch.zeros(tasks, 2, self.latent_dim, device=next(self.parameters()).device)

    def factors(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and precision ``[task, transition, latent]`` of each transition's Gaussian."""
        mean, raw_variance = self.factor(context).float().chunk(2, dim=-1)
        return mean, softplus(raw_variance).clamp_min(self.min_variance).reciprocal()

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        mean, precision = self.factors(context)
        if played is not None:
            precision = torch.where(played.unsqueeze(-1), precision, 0.0)
        return state + torch.stack([precision.sum(dim=1), (precision * mean).sum(dim=1)], dim=1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        precision, weighted_mean = state.unbind(dim=1)
        empty = precision == 0  # without any factor the posterior is the prior
        precision = torch.where(empty, 1.0, precision)
        return weighted_mean / precision, precision.rsqrt()


class BayesianProductEncoder(GaussianProductEncoder):
    """Task posterior by Bayes' rule: the prior N(0, I) times one Gaussian likelihood per transition.

    In the original product each factor has about unit variance before training. Many uninformative transitions then
    outweigh a single informative one. Here a factor may have a precision near zero, and all factors start with a small
    precision. Uninformative transitions, even many of them, therefore leave the posterior near the prior. This matters
    if most of a context has no reward.

    Args:
        context_features: Number of features of a transition.
        latent_dim: Size of z.
        hidden: Widths of the hidden layers.
        min_variance: Lower bound of a factor's variance; must be positive.
    """

    def factors(self, context: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.factor(context).float().chunk(2, dim=-1)
        return mean, (raw + INITIAL_LOG_PRECISION).clamp_max(-math.log(self.min_variance)).exp()

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        precision, weighted_mean = state.unbind(dim=1)
        precision = 1 + precision
        return weighted_mean / precision, precision.rsqrt()
