"""Random legal actions, as the weakest baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.agents.context_free import ContextFreeAgent


class UniformAgent(ContextFreeAgent):
    """An agent that plays uniformly random legal actions, as in ``pearl evaluate random``. It does not learn.

    Args:
        observation_features: Number of features in one agent's observation; ignored.
        action_space: Layout of one agent's action.
    """

    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.action_space.sample(observation.shape[:-1], generator).to(observation.device)
