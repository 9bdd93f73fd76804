"""An opponent that does nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ACTION_SPACE
from pearl_lightning.derk.opponents.opponent import Opponent


class IdleOpponent(Opponent):
    """Returns zero actions at every step."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
