"""An opponent that hunts the nearest enemy."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import FOCUS_RANGE, GUNS
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, HARMFUL, TeamView, pick_slot, pursue


class AttackerOpponent(Opponent):
    """Hunts the nearest living enemy with any item that is ready.

    It attacks the statue only if the statue is near or no enemy is alive.

    Args:
        near_statue: Distance in metres below which the statue is a target while enemies are alive.
        gun_range: Distance in metres below which an agent with a gun stands still and aims.
        gun_clearance: Distance in metres below which an agent with a gun backs off; shots need 1.5 m.
    """

    def __init__(self, *, near_statue: float = 8.0, gun_range: float = 10.0, gun_clearance: float = 3.0) -> None:
        if not 0 <= near_statue < FOCUS_RANGE:
            raise ValueError(f"near_statue must be in [0, {FOCUS_RANGE:g}), got {near_statue}")
        if not 0 <= gun_clearance < gun_range < FOCUS_RANGE:
            raise ValueError(
                f"gun_clearance < gun_range must be in [0, {FOCUS_RANGE:g}), got {gun_clearance} and {gun_range}"
            )
        self.near_statue, self.gun_range, self.gun_clearance = near_statue, gun_range, gun_clearance

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        enemies = view.enemies()
        statue_counts = ~enemies.any(-1) | (view.distance[..., ENEMY_STATUE] < self.near_statue)
        target = view.nearest(enemies | (view.only(ENEMY_STATUE) & statue_counts.unsqueeze(-1)))
        has_gun = view.holds(*GUNS).any(-1).to(observation)
        slot = pick_slot(view.castable(*HARMFUL), generator)
        return pursue(view, target, slot, near=has_gun * self.gun_clearance, far=has_gun * self.gun_range)
