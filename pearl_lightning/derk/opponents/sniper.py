"""An opponent that shoots from a distance."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import GUNS, ITEMS_BY_SLOT
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import ENEMY_STATUE, TeamView, pick_slot, pursue


class SniperOpponent(Opponent):
    """Shoots at the nearest enemy from a range of distances and backs off from enemies that are nearer.

    It shoots at the statue if no enemy is alive.

    Args:
        near: Distance in metres below which it backs off.
        far: Distance in metres below which it stands and aims; shots reach 15 m.
    """

    items = {**ITEMS_BY_SLOT, "arms": GUNS, "tail": ("ParalyzingDart",)}

    def __init__(self, *, near: float = 9.0, far: float = 14.0) -> None:
        if not 0 <= near < far <= 15:
            raise ValueError(f"near < far must be in [0, 15], got {near} and {far}")
        self.near, self.far = near, far

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        slot = pick_slot(view.castable(*GUNS, "ParalyzingDart"), generator)
        return pursue(view, self.target(view), slot, near=self.near, far=self.far)

    def target(self, view: TeamView) -> Tensor:
        """Index in ``TARGETS`` of each agent's target ``[arena, agent]``; -1 for none."""
        enemies = view.enemies()
        return view.nearest(torch.where(enemies.any(-1, keepdim=True), enemies, view.only(ENEMY_STATUE)))
