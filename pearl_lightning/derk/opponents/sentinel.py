"""Base class of opponents that stand still until they are provoked."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from pearl_lightning.derk.interface import FOCUS_RANGE, ITEMS_BY_SLOT
from pearl_lightning.derk.opponents.sniper import SniperOpponent
from pearl_lightning.derk.opponents.steering import TeamView, pursue, where


class SentinelOpponent(SniperOpponent):
    """Stands still and watches the nearest enemy; while one agent of the team is provoked, all three shoot.

    Subclasses define what provokes an agent. While they stand still, all subclasses look the same to the other team,
    although they react to different behaviour.
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
        """Whether each agent is provoked by its current observation ``[arena, agent]``."""
