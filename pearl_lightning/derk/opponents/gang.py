"""An opponent whose agents all attack the same enemy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue


class GangOpponent(Opponent):
    """All three agents attack the enemy with the smallest sum of distances to the team; the statue comes last."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        enemies = view.enemies()
        eligible = torch.where(enemies.any(-1, keepdim=True), enemies, view.only(ENEMY_STATUE))
        # every agent of the team lists the enemies in the same order
        together = view.distance.masked_fill(~eligible, math.inf).sum(dim=-2, keepdim=True)
        victim = torch.where(together.isfinite().any(-1), together.argmin(dim=-1), -1)
        slot = pick_slot(view.castable(*HARMFUL), generator)
        return pursue(view, victim.expand(slot.shape), slot)
