"""An opponent that shoots the statue."""

from __future__ import annotations

from torch import Tensor

from pearl_lightning.envs.derk.opponents.sniper import SniperOpponent
from pearl_lightning.envs.derk.opponents.steering import ENEMY_STATUE, TeamView


class BesiegerOpponent(SniperOpponent):
    """Shoots the enemy's statue from afar and aims at nobody, whatever they do; once the statue fell it rests."""

    def target(self, view: TeamView) -> Tensor:
        return view.nearest(view.only(ENEMY_STATUE))
