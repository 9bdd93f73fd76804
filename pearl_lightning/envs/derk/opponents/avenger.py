"""An opponent that strikes back."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import AGENTS, observation_index
from pearl_lightning.envs.derk.opponents.sentinel import SentinelOpponent
from pearl_lightning.envs.derk.opponents.steering import TeamView

_HITPOINTS, _AIMED_AT = observation_index("Hitpoints"), observation_index("FocusFocusingBack")


class AvengerOpponent(SentinelOpponent):
    """Shoots whoever aims at one of its agents, and gives up the statue to whoever does not.

    Args:
        patience: Steps that the enemy it watches may aim at an agent.
    """

    def __init__(self, *, patience: int = 1) -> None:
        super().__init__()
        if patience < 0:
            raise ValueError(f"patience must be at least 0 steps, got {patience}")
        self.patience = patience

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        super().begin(arenas, generator)
        self._aimed_at = torch.zeros(arenas, AGENTS, dtype=torch.long, device=generator.device)

    def provokes(self, view: TeamView) -> Tensor:
        # in a row: a focus that only passes by does not count
        self._aimed_at = (self._aimed_at + 1) * (view.observation[..., _AIMED_AT] > 0.5)
        return (self._aimed_at > self.patience) | (view.observation[..., _HITPOINTS] < 0.99)
