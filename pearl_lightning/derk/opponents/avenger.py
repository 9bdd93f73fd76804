"""An opponent that strikes back."""

from __future__ import annotations

from torch import Tensor

from pearl_lightning.derk.interface import observation_index
from pearl_lightning.derk.opponents.sentinel import SentinelOpponent
from pearl_lightning.derk.opponents.steering import TeamView

_HITPOINTS, _IS_AIMED_AT = observation_index("Hitpoints"), observation_index("FocusFocusingBack")


class AvengerOpponent(SentinelOpponent):
    """Shoots while its focus aims at it or while it is hurt; it does not defend its statue."""

    def provokes(self, view: TeamView) -> Tensor:
        return (view.observation[..., _IS_AIMED_AT] > 0.5) | (view.observation[..., _HITPOINTS] < 0.99)
