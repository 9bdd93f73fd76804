"""Legal actions at random: the least an agent must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.baselines.context_free import ContextFreeAgent


class UniformAgent(ContextFreeAgent):
    """Uniform legal actions, whatever is seen; ``pearl evaluate random`` plays it. It has nothing to learn.

    Args:
        observation_features: Numbers in one agent's observation, all ignored.
        action_space: Layout of one agent's action.
    """

    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.action_space.sample(observation.shape[:-1], generator).to(observation.device)
