"""Conditions: vectors computed from a posterior, on which actor and critics are conditioned."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Condition(nn.Module, ABC):
    """Computes a condition from a Gaussian posterior over z.

    Args:
        latent_dim: Size of z.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    @property
    def width(self) -> int:
        """Size of a condition; that of z by default."""
        return self.latent_dim

    @abstractmethod
    def forward(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        """Return the condition ``[..., width]`` on which actor and critics learn, and on which the agent collects.

        Args:
            mean: Mean of the posterior ``[..., latent]``.
            std: Standard deviation of the posterior ``[..., latent]``.
            noise: Standard normal numbers ``[..., latent]``.
        """

    def in_play(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        """Return the condition ``[..., width]`` on which the agent acts, except to collect; ``forward`` by default."""
        condition: Tensor = self(mean, std, noise)
        return condition


class SampledCondition(Condition):
    """A sample of z, as in the original: the agent acts on one hypothesis (Rakelly et al. 2019, sec. 4.2).

    Args:
        latent_dim: Size of z.
    """

    def forward(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        return mean + std * noise


class PosteriorCondition(Condition):
    """Mean and standard deviation: the agent also acts on its uncertainty (VariBAD, Zintgraf et al. 2020, sec. 3.2).

    Args:
        latent_dim: Size of z.
    """

    @property
    def width(self) -> int:
        return 2 * self.latent_dim

    def forward(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        return torch.cat([mean, std], dim=-1)


class MeanCondition(SampledCondition):
    """A sample of z in training, both to collect and to learn, and the mean of z in evaluations and all other play.

    Samples explore during training. Once trained, the agent acts on its best guess instead of a random hypothesis, as
    an agent may play the mode of its policy. Without the noise in updates, the critics would not train the standard
    deviations.

    Args:
        latent_dim: Size of z.
    """

    def in_play(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        return mean
