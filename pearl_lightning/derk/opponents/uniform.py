"""An opponent that plays random actions."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ACTION_SPACE
from pearl_lightning.derk.opponents.opponent import Opponent


class RandomOpponent(Opponent):
    """Draws every action uniformly from the legal ones."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return ACTION_SPACE.sample(tuple(observation.shape[:-1]), generator, observation.device)
