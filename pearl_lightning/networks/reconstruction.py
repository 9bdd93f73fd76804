"""What a latent should tell of its task: rewards, transitions, and what the task is, predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.networks.layers import mlp


class Reconstruction(nn.Module):
    """Predicts, given z, the context's rewards and, on demand, how its observations change, and what the task is.

    An auxiliary task for the encoder: what pays, or what an action does, must be in z before the critic has found a use
    for it (Zintgraf et al. 2020, sec. 3.1). The transitions are those that the encoder has read: among them the rare
    ones that tell are many, where the encoder is shown the salient ones. What the task is (``descriptors`` of its
    family) is known while training and is the most direct target there is (Humplik et al. 2019, sec. 3.2); nothing of
    it is needed to play.

    Args:
        inputs: Numbers in observation and encoded action together.
        observation_features: Numbers in an observation.
        latent_features: Numbers in z.
        descriptor_features: Numbers that tell a task; 0 where its family gives none.
        hidden: Widths of the hidden layers.
        reward_weight: Of the squared error of the reward, at least 0.
        observation_weight: Of the squared error of the observation's change, mean over its features; at least 0.
        task_weight: Of the squared error of what tells the task, summed over its numbers; at least 0.

    Raises:
        ValueError: A weight below 0, or of tasks that nothing tells.
    """

    def __init__(
        self,
        inputs: int,
        observation_features: int,
        latent_features: int,
        descriptor_features: int = 0,
        hidden: Sequence[int] = (128, 128),
        reward_weight: float = 1.0,
        observation_weight: float = 0.0,
        task_weight: float = 0.0,
    ) -> None:
        super().__init__()
        for name, weight in (
            ("reward_weight", reward_weight),
            ("observation_weight", observation_weight),
            ("task_weight", task_weight),
        ):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        if task_weight and not descriptor_features:
            raise ValueError(f"task_weight must be 0 for tasks without descriptors, got {task_weight}")
        self.observation_features = observation_features
        self.reward_weight, self.observation_weight, self.task_weight = reward_weight, observation_weight, task_weight
        reads = reward_weight + observation_weight > 0
        self.body = mlp(inputs + latent_features, hidden, 1 + observation_features) if reads else None
        self.task = mlp(latent_features, hidden, descriptor_features) if task_weight else None

    def loss(self, context: Tensor, z: Tensor, descriptor: Tensor | None = None) -> Tensor:
        """Weighted mean squared errors, a scalar.

        Args:
            context: Of what the encoder read, how the observation changed, the observation, the encoded action and the
                reward ``[task, transition, feature]``.
            z: A sample of the posterior ``[task, latent]``.
            descriptor: What tells the task ``[task, number]``; needed where its weight is not 0.
        """
        loss = z.new_zeros(())
        if self.body is not None:
            of_task = z.unsqueeze(1).expand(-1, context.shape[1], -1)
            change, known, reward = context.tensor_split([self.observation_features, context.shape[-1] - 1], dim=-1)
            predicted = self.body(torch.cat([known, of_task], dim=-1))
            loss = loss + self.reward_weight * (predicted[..., :1] - reward).square().mean()
            loss = loss + self.observation_weight * (predicted[..., 1:] - change).square().mean()
        if self.task is not None:
            assert descriptor is not None
            error = self.task(z) - descriptor.to(z.device)
            loss = loss + self.task_weight * error.square().sum(dim=-1).mean()
        return loss
