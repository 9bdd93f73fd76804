"""An opponent that disrupts the actions of its enemies."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import HARMFUL, TeamView, pick_slot, pursue

_DISRUPTIVE = ("Trombone", "HeliumBubblegum", "ParalyzingDart", "Magnum", "Cripplers")


class DisruptorOpponent(Opponent):
    """Approaches enemies and lifts, dazes, cripples, pushes or distracts them; else it uses other harmful items."""

    items = {
        **ITEMS_BY_SLOT,
        "arms": ("Magnum", "Cripplers"),
        "tail": ("ParalyzingDart",),
        "misc": ("HeliumBubblegum", "Trombone"),
    }

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        disruptive = view.castable(*_DISRUPTIVE)
        castable = torch.where(disruptive.any(-1, keepdim=True), disruptive, view.castable(*HARMFUL))
        return pursue(view, view.nearest(view.enemies()), pick_slot(castable, generator))
