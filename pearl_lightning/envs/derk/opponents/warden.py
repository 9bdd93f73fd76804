"""An opponent that minds its statue only."""

from __future__ import annotations

from torch import Tensor

from pearl_lightning.envs.derk.opponents.sentinel import SentinelOpponent
from pearl_lightning.envs.derk.opponents.steering import FRIEND_STATUE, TeamView


class WardenOpponent(SentinelOpponent):
    """Shoots while an enemy is near its statue, and lets itself be shot by whoever keeps away from it.

    Args:
        guarded: Metres from the statue within which enemies provoke it; shots at the statue carry 15 m.
    """

    def __init__(self, *, guarded: float = 17.0) -> None:
        super().__init__()
        if not 0 < guarded < 30:
            raise ValueError(f"guarded must be in (0, 30) m, got {guarded}")
        self.guarded = guarded

    def provokes(self, view: TeamView) -> Tensor:
        return (view.enemies() & (view.apart(FRIEND_STATUE) < self.guarded)).any(-1)
