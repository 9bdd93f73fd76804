"""An opponent that shoots the statue."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import GUNS
from pearl_lightning.envs.derk.opponents.sniper import SniperOpponent
from pearl_lightning.envs.derk.opponents.steering import ENEMY_STATUE, TeamView, pick_slot, pursue


class BesiegerOpponent(SniperOpponent):
    """Shoots the enemy's statue from afar and aims at nobody, whatever they do; once the statue fell it rests."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        statue = view.nearest(view.only(ENEMY_STATUE))
        slot = pick_slot(view.castable(*GUNS, "ParalyzingDart"), generator)
        return pursue(view, statue, slot, near=self.near, far=self.far)
