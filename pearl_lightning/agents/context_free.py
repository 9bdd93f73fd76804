"""Base class of agents without a belief."""

from __future__ import annotations

import torch

from pearl_lightning.agents.agent import Agent
from pearl_lightning.inference.belief import FixedBelief


class ContextFreeAgent(Agent):
    """An agent that does not adapt: its condition is empty, and it reads no context."""

    def prior(self, arenas: int) -> FixedBelief:
        return FixedBelief(torch.empty(arenas, 0, device=self.device))
