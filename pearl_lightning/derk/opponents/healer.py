"""An opponent that heals its team."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMIES, HARMFUL, TeamView, pick_slot, pursue, where


class HealerOpponent(Opponent):
    """Heals team-mates and its statue when its gland is ready, and fights the nearest enemy otherwise.

    At every step it draws one of the targets in front of it at random, because only the health of the focus is
    observed. If there is none, it turns to the nearest.

    Args:
        clearance: Distance in metres to an enemy below which it fights instead of healing.
        reach: Distance in metres from which it heals; the gland reaches 15 m.
    """

    items = {**ITEMS_BY_SLOT, "tail": ("HealingGland",)}

    def __init__(self, *, clearance: float = 2.5, reach: float = 14.0) -> None:
        if not 0 <= clearance < reach <= 15:
            raise ValueError(f"clearance < reach must be in [0, 15], got {clearance} and {reach}")
        self.clearance, self.reach = clearance, reach

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        enemy = view.nearest(view.enemies())
        fight = pursue(view, enemy, pick_slot(view.castable(*HARMFUL), generator))
        own = view.lives.clone()
        own[..., ENEMIES.start - 1 :] = False
        before = own & (view.angle.abs() < math.pi / 4) & (view.distance < self.reach)
        priority = torch.rand(own.shape, generator=generator, device=own.device).masked_fill(~before, -1.0)
        patient = torch.where(before.any(-1), priority.argmax(dim=-1), view.nearest(own))
        gland = view.castable("HealingGland")
        heal = pursue(view, patient, pick_slot(gland, generator), near=self.clearance, far=self.reach)
        is_pressed = (view.enemies() & (view.distance < self.clearance)).any(-1)
        return where(gland.any(-1) & (patient >= 0) & ~is_pressed, heal, fight)
