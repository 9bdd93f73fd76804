"""What a latent should tell of its task: rewards and transitions, predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.networks.layers import mlp


class Reconstruction(nn.Module):
    """Predicts, given z, the context's rewards and, on demand, how its observations change.

    An auxiliary task for the encoder: what pays, or what an action does, must be in z before the critic has found a use
    for it (Zintgraf et al. 2020, sec. 3.1). The transitions are those that the encoder has read: among them the rare
    ones that tell are many, where the encoder is shown the salient ones.

    Args:
        inputs: Numbers in observation and encoded action together.
        observation_features: Numbers in an observation.
        latent_features: Numbers in z.
        hidden: Widths of the hidden layers.
        reward_weight: Of the squared error of the reward, at least 0.
        observation_weight: Of the squared error of the observation's change, mean over its features; at least 0.

    Raises:
        ValueError: A weight below 0.
    """

    def __init__(
        self,
        inputs: int,
        observation_features: int,
        latent_features: int,
        hidden: Sequence[int] = (128, 128),
        reward_weight: float = 1.0,
        observation_weight: float = 0.0,
    ) -> None:
        super().__init__()
        for name, weight in (("reward_weight", reward_weight), ("observation_weight", observation_weight)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        self.observation_features = observation_features
        self.reward_weight, self.observation_weight = reward_weight, observation_weight
        self.body = mlp(inputs + latent_features, hidden, 1 + observation_features)

    def loss(self, context: Tensor, z: Tensor) -> Tensor:
        """Weighted mean squared errors, a scalar.

        Args:
            context: Of what the encoder read, how the observation changed, the observation, the encoded action and the
                reward ``[task, transition, feature]``.
            z: A sample of the posterior ``[task, latent]``.
        """
        of_task = z.unsqueeze(1).expand(-1, context.shape[1], -1)
        change, known, reward = context.tensor_split([self.observation_features, context.shape[-1] - 1], dim=-1)
        predicted = self.body(torch.cat([known, of_task], dim=-1))
        loss: Tensor = self.reward_weight * (predicted[..., :1] - reward).square().mean()
        return loss + self.observation_weight * (predicted[..., 1:] - change).square().mean()
