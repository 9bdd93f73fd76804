"""What a latent should tell of its task: rewards and transitions, predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from pearl_lightning.networks.layers import mlp


class Reconstruction(nn.Module):
    """Predicts a transition's reward and the change of its observation from observation, action and z.

    An auxiliary task for the encoder (Zintgraf et al. 2020, sec. 3.1): what pays, or what an action does, must be in z
    before the critic has found a use for it.

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

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Reward ``[batch]`` and change of the observation ``[batch, feature]`` for ``[batch, inputs]``."""
        predicted = self.body(features).float()
        return predicted[:, 0], predicted[:, 1:]

    def loss(self, features: Tensor, reward: Tensor, change: Tensor) -> Tensor:
        """Weighted mean squared errors, a scalar.

        Args:
            features: ``[batch, inputs]``.
            reward: What was paid ``[batch]``, in the units that the encoder reads.
            change: Next observation minus observation ``[batch, feature]``.
        """
        predicted_reward, predicted_change = self(features)
        of_reward = (predicted_reward - reward).square().mean()
        return self.reward_weight * of_reward + self.observation_weight * (predicted_change - change).square().mean()
