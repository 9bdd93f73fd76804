"""What a latent should tell of its task: rewards and transitions, predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.networks.layers import mlp


class Reconstruction(nn.Module):
    """Predicts rewards of the context and, on demand, changes of observations, from observation, action and z.

    An auxiliary task for the encoder (Zintgraf et al. 2020, sec. 3.1): what pays, or what an action does, must be in z
    before the critic has found a use for it. The rewards are those that the encoder has read: among them the rare ones
    that tell are many, where the encoder is shown the salient transitions.

    Args:
        inputs: Numbers in observation, encoded action and z together.
        observation_features: Numbers in an observation.
        hidden: Widths of the hidden layers.
        reward_weight: Of the squared error of the reward, at least 0.
        observation_weight: Of the squared error of the observation's change, mean over its features; at least 0.
    """

    def __init__(
        self,
        inputs: int,
        observation_features: int,
        hidden: Sequence[int] = (128, 128),
        reward_weight: float = 1.0,
        observation_weight: float = 0.0,
    ) -> None:
        super().__init__()
        for name, weight in (("reward_weight", reward_weight), ("observation_weight", observation_weight)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        self.reward_weight, self.observation_weight = reward_weight, observation_weight
        self.body = mlp(inputs, hidden, 1 + observation_features)

    def loss(self, context: Tensor, z: Tensor, features: Tensor, change: Tensor) -> Tensor:
        """Weighted mean squared errors, a scalar.

        Args:
            context: What the encoder read ``[task, transition, feature]``, the reward last.
            z: A sample of the posterior ``[task, latent]``.
            features: Observation, encoded action and z of other transitions ``[batch, inputs]``.
            change: Their next observation minus their observation ``[batch, feature]``.
        """
        of_task = z.unsqueeze(1).expand(-1, context.shape[1], -1)
        predicted = self.body(torch.cat([context[..., :-1], of_task], dim=-1))[..., 0].float()
        loss = self.reward_weight * (predicted - context[..., -1]).square().mean()
        if self.observation_weight > 0:
            predicted_change = self.body(features)[..., 1:].float()
            loss = loss + self.observation_weight * (predicted_change - change).square().mean()
        return loss
