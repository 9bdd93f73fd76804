"""An opponent whose agents strike together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pearl_lightning.envs.derk.opponents.opponent import Opponent
from pearl_lightning.envs.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue


class GangOpponent(Opponent):
    """All three go for the same enemy, the one that is nearest to the team as a whole; the statue comes last."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        enemies = view.enemies()
        eligible = torch.where(enemies.any(-1, keepdim=True), enemies, view.only(ENEMY_STATUE))
        # every agent of the team lists the enemies in the same order
        together = view.distance.masked_fill(~eligible, math.inf).sum(dim=-2, keepdim=True)
        victim = torch.where(together.isfinite().any(-1), together.argmin(dim=-1), -1)
        slot = pick_slot(view.castable(*HARMFUL), generator)
        return pursue(view, victim.expand(slot.shape), slot)
