"""Base class of context encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pearl_lightning.networks.layers import check_sizes

MIN_STD = 1e-4
"""Smallest standard deviation of a posterior."""


class ContextEncoder(nn.Module, ABC):
    """Maps context ``[task, transition, feature]`` to a Gaussian posterior over ``z`` ``[task, latent]``.

    The posterior is computed from a running state ``[task, ...]``, so a belief can be updated with new transitions
    without reading the old ones again. An encoder reads transitions only; it has no access to task identities, seeds or
    splits.

    Args:
        context_features: Number of features of a transition: observation, encoded action and reward, preceded by the
            change of the observation if ``ContextLayout.next_observation`` is set.
        latent_dim: Size of z.
    """

    def __init__(self, context_features: int, latent_dim: int) -> None:
        super().__init__()
        check_sizes(context_features=context_features)
        self.context_features, self.latent_dim = context_features, latent_dim

    @abstractmethod
    def initial_state(self, tasks: int) -> Tensor:
        """Return the state ``[task, ...]`` without any transition. Its posterior is the prior N(0, I)."""

    @abstractmethod
    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        """Return the state after further transitions.

        Args:
            state: State before them ``[task, ...]``.
            context: Transitions ``[task, transition, feature]``.
            played: Mask of the transitions that were played ``[task, transition]``; the others are padding and must not
                change the state. None if all were played.
        """

    @abstractmethod
    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the posterior ``[task, latent]``."""

    def forward(self, context: Tensor, played: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation ``[task, latent]`` given context ``[task, transition, feature]``.

        ``played`` is as for ``update``.
        """
        return self.posterior(self.update(self.initial_state(len(context)), context, played))


def gaussian_unless_empty(head: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[task, latent]`` from the outputs of a head, or of the prior without context.

    Args:
        head: Outputs ``[task, 2 * latent]``: the mean, and the standard deviation before softplus.
        count: Number of transitions read ``[task]``.
    """
    mean, raw = head.float().chunk(2, dim=-1)
    is_empty = (count == 0).unsqueeze(-1)
    return torch.where(is_empty, 0.0, mean), torch.where(is_empty, 1.0, softplus(raw) + MIN_STD)
