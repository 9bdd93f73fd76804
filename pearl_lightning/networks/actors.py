"""Actors, which map an observation and a condition to a distribution over actions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.networks.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import mlp

LOG_STD_BOUNDS = (-20.0, 2.0)
"""Bounds of the Gaussian's log standard deviation, as in Haarnoja et al. 2018."""


class Actor(nn.Module):
    """A perceptron that outputs the Gaussian and the logits of each discrete choice; the agents of a team share it.

    Args:
        features: Number of features of observation and condition together.
        action_space: Continuous bounds and discrete choices. Without choices the actor is a tanh-Gaussian.
        hidden: Widths of the hidden layers.
    """

    def __init__(
        self,
        features: int,
        action_space: ActionSpace,
        hidden: Sequence[int] = (256, 256),
    ) -> None:
        super().__init__()
        self.action_space = action_space
        self.body = mlp(features, hidden, 2 * action_space.continuous + sum(action_space.choices))

    def forward(self, observation: Tensor, condition: Tensor) -> HybridTanhGaussian:
        """Return the distribution over actions ``[..., width]``.

        Args:
            observation: Observations ``[..., feature]``.
            condition: Conditions ``[..., number]``.
        """
        continuous = self.action_space.continuous
        outputs = self.body(torch.cat([observation, condition], dim=-1)).float()
        mean, log_std, logits = outputs.split([continuous, continuous, sum(self.action_space.choices)], dim=-1)
        return HybridTanhGaussian(mean, log_std.clamp(*LOG_STD_BOUNDS), logits, self.action_space)
