"""An opponent that shoots at the enemy statue."""

from __future__ import annotations

from torch import Tensor

from pearl_lightning.derk.opponents.sniper import SniperOpponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, TeamView


class BesiegerOpponent(SniperOpponent):
    """Shoots at the enemy statue from a distance and never at enemies; after the statue has fallen it does nothing."""

    def target(self, view: TeamView) -> Tensor:
        return view.nearest(view.only(ENEMY_STATUE))
