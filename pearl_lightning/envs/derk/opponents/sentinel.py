"""An opponent that stands and watches unless it is provoked."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import FOCUS_RANGE, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.opponents.sniper import SniperOpponent
from pearl_lightning.envs.derk.opponents.steering import TeamView, pursue, where


class SentinelOpponent(SniperOpponent):
    """Stands where it is, its eyes on the nearest enemy; while one of the team is provoked all three shoot.

    What provokes it is for subclasses to say. By how they stand they cannot be told apart, so their answers can
    contradict each other: what one minds, another lets happen.
    """

    items = {**ITEMS_BY_SLOT, "arms": ("Pistol", "Blaster"), "tail": ("ParalyzingDart",)}

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        is_provoked = self.provokes(view).any(-1, keepdim=True)
        watched = view.nearest(view.enemies() & (view.distance < FOCUS_RANGE))
        watch = pursue(view, watched, torch.zeros_like(watched), far=FOCUS_RANGE)
        return where(is_provoked.expand_as(watched), super().__call__(observation, generator), watch)

    @abstractmethod
    def provokes(self, view: TeamView) -> Tensor:
        """Whether an agent is provoked by what it sees now ``[arena, agent]``."""
