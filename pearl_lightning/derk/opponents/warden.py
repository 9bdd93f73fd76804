"""An opponent that shoots enemies near its statue."""

from __future__ import annotations

from torch import Tensor

from pearl_lightning.derk.opponents.sentinel import SentinelOpponent
from pearl_lightning.derk.opponents.steering import FRIEND_STATUE, TeamView


class WardenOpponent(SentinelOpponent):
    """Shoots while an enemy is near its statue; enemies that keep away from the statue may shoot at it unpunished.

    Args:
        guarded: Distance in metres from the statue within which enemies provoke it; shots reach 15 m.
    """

    def __init__(self, *, guarded: float = 17.0) -> None:
        super().__init__()
        if not 0 < guarded < 30:
            raise ValueError(f"guarded must be in (0, 30) m, got {guarded}")
        self.guarded = guarded

    def provokes(self, view: TeamView) -> Tensor:
        return (view.enemies() & (view.apart(FRIEND_STATUE) < self.guarded)).any(-1)
