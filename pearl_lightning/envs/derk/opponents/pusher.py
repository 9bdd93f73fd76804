"""An opponent that only wants the statue."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.envs.derk.opponents.opponent import Opponent
from pearl_lightning.envs.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue


class PusherOpponent(Opponent):
    """Walks straight to the enemy's statue and beats it, whoever stands by; then it takes the nearest enemy."""

    items = {**ITEMS_BY_SLOT, "arms": ("Talons", "BloodClaws", "Cleavers", "Cripplers")}

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        statue = view.only(ENEMY_STATUE)
        target = view.nearest(torch.where(statue.any(-1, keepdim=True), statue, view.enemies()))
        return pursue(view, target, pick_slot(view.castable(*HARMFUL), generator))
