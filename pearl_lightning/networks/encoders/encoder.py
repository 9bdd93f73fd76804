"""What turns experience into a belief."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pearl_lightning.networks.layers import check_sizes

MIN_STD = 1e-4
"""A belief is never surer than this."""


class ContextEncoder(nn.Module, ABC):
    """Turns context ``[task, transition, feature]`` into a Gaussian posterior over ``z`` ``[task, latent]``.

    The posterior comes from a running state ``[task, ...]``, so that a belief can be updated with new transitions
    without reading the old ones again. An encoder sees transitions only: no task identity, seed or split.

    Args:
        context_features: Numbers in one transition: observation, encoded action, reward; before them what the step
            changed of the observation, where the agent has ``context_next_observation``.
        latent_dim: Numbers in z.
    """

    def __init__(self, context_features: int, latent_dim: int) -> None:
        super().__init__()
        check_sizes(context_features=context_features)
        self.context_features, self.latent_dim = context_features, latent_dim

    @abstractmethod
    def initial_state(self, tasks: int) -> Tensor:
        """State ``[task, ...]`` before any transition; its posterior is the prior N(0, I)."""

    @abstractmethod
    def update(self, state: Tensor, context: Tensor) -> Tensor:
        """State after transitions ``[task, transition, feature]``."""

    @abstractmethod
    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[task, latent]``."""

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[task, latent]`` given context ``[task, transition, feature]``."""
        return self.posterior(self.update(self.initial_state(len(context)), context))


def gaussian_unless_empty(head: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[task, latent]`` of a head's outputs; the prior's where nothing was read.

    Args:
        head: ``[task, 2 * latent]``: the mean, and what softplus makes the standard deviation of.
        count: Transitions read ``[task]``.
    """
    mean, raw = head.float().chunk(2, dim=-1)
    is_empty = (count == 0).unsqueeze(-1)
    return torch.where(is_empty, 0.0, mean), torch.where(is_empty, 1.0, softplus(raw) + MIN_STD)
