"""An opponent that avoids enemies."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue, walk, where


class RunnerOpponent(Opponent):
    """Runs away from all enemies that are near; otherwise it walks to the enemy statue and hits it.

    Args:
        fear: Distance in metres to an enemy below which it runs away.
    """

    def __init__(self, *, fear: float = 8.0) -> None:
        if not 0 < fear < 30:
            raise ValueError(f"fear must be in (0, 30), got {fear}")
        self.fear = fear

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        threats = view.enemies() & (view.distance < self.fear)
        weight = threats / view.distance.clamp(min=0.1)
        x, y = (weight * view.angle.cos()).sum(-1), (weight * view.angle.sin()).sum(-1)
        flight = walk(view, torch.atan2(-y, -x))
        statue = view.nearest(view.only(ENEMY_STATUE))
        return where(threats.any(-1), flight, pursue(view, statue, pick_slot(view.castable(*HARMFUL), generator)))
