"""Encoders whose posterior is a product of Gaussians, one per transition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pearl_lightning.networks.encoders.encoder import ContextEncoder
from pearl_lightning.networks.layers import check_sizes, mlp

INITIAL_LOG_PRECISION = -4.0
"""About the log-precision of a transition before training: fifty of them weigh as much as the prior."""


class GaussianProductEncoder(ContextEncoder):
    """Task posterior as a product of one Gaussian per transition (Rakelly et al. 2019, sec. 4.1).

    The product is symmetric, so the order of the transitions does not matter. Its running state is the sum of the
    factors' precisions and of their precision-weighted means, ``[task, 2, latent]``.

    Args:
        context_features: Numbers in one transition.
        latent_dim: Numbers in z.
        hidden: Widths of the hidden layers.
        min_variance: Lower bound of a factor's variance.
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
        """Mean and precision ``[task, transition, latent]`` of each transition's Gaussian."""
        mean, raw_variance = self.factor(context).float().chunk(2, dim=-1)
        return mean, softplus(raw_variance).clamp_min(self.min_variance).reciprocal()

    def update(self, state: Tensor, context: Tensor) -> Tensor:
        mean, precision = self.factors(context)
        return state + torch.stack([precision.sum(dim=1), (precision * mean).sum(dim=1)], dim=1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        precision, weighted_mean = state.unbind(dim=1)
        empty = precision == 0  # no factor yet: the prior
        precision = torch.where(empty, 1.0, precision)
        return weighted_mean / precision, precision.rsqrt()


class BayesianProductEncoder(GaussianProductEncoder):
    """Task posterior as the prior N(0, I) times one Gaussian likelihood per transition, as Bayes' rule has it.

    In the original product each transition is a posterior of its own, of about unit variance at first: a hundred that
    say nothing are as sure together as one that tells the goal. Here a transition may say nothing, and at first says
    little; what is known after many such is the prior still. So rare evidence is not drowned, which decides where most
    of a context holds no reward.

    Args:
        context_features: Numbers in one transition.
        latent_dim: Numbers in z.
        hidden: Widths of the hidden layers.
        min_variance: Lower bound of a factor's variance.
    """

    def factors(self, context: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.factor(context).float().chunk(2, dim=-1)
        return mean, (raw + INITIAL_LOG_PRECISION).clamp_max(-math.log(self.min_variance)).exp()

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        precision, weighted_mean = state.unbind(dim=1)
        precision = 1 + precision
        return weighted_mean / precision, precision.rsqrt()
