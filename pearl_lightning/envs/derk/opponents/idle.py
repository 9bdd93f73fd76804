"""An opponent that is not there."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ACTION_SPACE
from pearl_lightning.envs.derk.opponents.opponent import Opponent


class IdleOpponent(Opponent):
    """Does nothing."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
