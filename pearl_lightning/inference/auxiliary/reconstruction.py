"""Reconstruction: prediction of the rewards of the context, and of the changes of its observations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.inference.auxiliary.auxiliary import AuxiliaryLoss, AuxiliarySizes
from pearl_lightning.inference.inferred import Inferred
from pearl_lightning.networks.layers import mlp


class Reconstruction(AuxiliaryLoss):
    """Prediction of the rewards of the context from z, and optionally of the changes of its observations.

    It trains z to contain the rewards, or the effects of actions, before the critics use them (Zintgraf et al. 2020,
    sec. 3.1). The predicted transitions are those that the encoder has read.

    Args:
        sizes: Sizes of the inputs.
        hidden: Widths of the hidden layers.
        reward_weight: Weight of the squared error of the reward, at least 0.
        observation_weight: Weight of the squared error of the change of the observation, averaged over features; at
            least 0.

    Raises:
        ValueError: A weight is out of its range.
    """

    name = "reconstruction"

    def __init__(
        self,
        sizes: AuxiliarySizes,
        hidden: Sequence[int] = (128, 128),
        reward_weight: float = 1.0,
        observation_weight: float = 0.0,
    ) -> None:
        super().__init__(sizes)
        for name, weight in (("reward_weight", reward_weight), ("observation_weight", observation_weight)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        self.reward_weight, self.observation_weight = reward_weight, observation_weight
        self.body = mlp(sizes.observation + sizes.action + sizes.latent, hidden, 1 + sizes.observation)

    def loss(self, inferred: Inferred) -> Tensor:
        context = inferred.transitions
        of_task = inferred.z.unsqueeze(1).expand(-1, context.shape[1], -1)
        change, known, reward = context.tensor_split([self.sizes.observation, context.shape[-1] - 1], dim=-1)
        predicted = self.body(torch.cat([known, of_task], dim=-1))
        of_reward = inferred.average((predicted[..., :1] - reward).square())
        of_change = inferred.average((predicted[..., 1:] - change).square())
        return self.reward_weight * of_reward + self.observation_weight * of_change
