"""An opponent that guards its statue."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.steering import (
    FRIEND_STATUE,
    HARMFUL,
    TeamView,
    pick_slot,
    pursue,
    walk,
    where,
)


class GuardianOpponent(Opponent):
    """Waits at its statue, attacks enemies that come near the statue, and ignores all others.

    Args:
        post: Distance in metres from the statue within which it rests.
        guarded: Distance in metres from the statue within which it attacks enemies.
    """

    def __init__(self, *, post: float = 6.0, guarded: float = 14.0) -> None:
        if not 0 < post < guarded < 30:
            raise ValueError(f"post < guarded must be in (0, 30), got {post} and {guarded}")
        self.post, self.guarded = post, guarded

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        view = TeamView(observation)
        intruder = view.nearest(view.enemies() & (view.apart(FRIEND_STATUE) < self.guarded))
        attack = pursue(view, intruder, pick_slot(view.castable(*HARMFUL), generator))
        is_away = (view.distance[..., FRIEND_STATUE] > self.post) & view.lives[..., FRIEND_STATUE]
        back = walk(view, view.angle[..., FRIEND_STATUE]) * is_away.unsqueeze(-1)
        return where(intruder >= 0, attack, back)
