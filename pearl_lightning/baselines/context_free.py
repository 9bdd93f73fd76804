"""An agent without a belief."""

from __future__ import annotations

from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.agent import Agent
from pearl_lightning.belief import Belief
from pearl_lightning.networks.encoders import ContextFreeEncoder


class ContextFreeAgent(Agent):
    """Plays every episode as the first: its z has no numbers, and it reads no context."""

    def prior(self, arenas: int) -> Belief:
        return Belief(ContextFreeEncoder(1).to(self.device), arenas)

    def context_features(self, episodes: TensorDictBase) -> Tensor:
        return episodes["reward"].new_zeros(len(episodes), 0, 1)
