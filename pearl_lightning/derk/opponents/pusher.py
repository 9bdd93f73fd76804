"""An opponent that goes for the enemy statue."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue


class PusherOpponent(Opponent):
    """Walks straight to the enemy statue and hits it; after the statue has fallen it attacks the nearest enemy."""

    items = {**ITEMS_BY_SLOT, "arms": ("Talons", "BloodClaws", "Cleavers", "Cripplers")}

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        statue = view.only(ENEMY_STATUE)
        target = view.nearest(torch.where(statue.any(-1, keepdim=True), statue, view.enemies()))
        return pursue(view, target, pick_slot(view.castable(*HARMFUL), generator))
