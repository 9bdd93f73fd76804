"""What a Derk world must offer: the simulator and the real game are interchangeable behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from pearl_lightning.envs.derk.tasks import DerkTask


class DerkBackend(Protocol):
    """Plays ``arenas`` matches side by side; the caller controls both teams.

    Side 0 is home, side 1 away. Actions are checked before they are sent (shape, finite, range): a ``ValueError`` names
    the first bad entry. When the world breaks in mid-episode, ``step`` or ``reset`` raises
    ``pearl_lightning.envs.meta_env.EpisodeLost`` within a stated time, and the next ``reset`` starts afresh.
    """

    arenas: int
    episode_steps: int
    device: torch.device
    """Where observations and rewards lie, and actions must."""

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        """Start a match per arena; returns observations ``[side, arena, agent, 64]``. The seed fixes the spawns."""

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Play actions ``[side, arena, agent, 5]``; returns observations, rewards ``[side, arena, agent]`` and done."""

    def team_stats(self) -> Tensor:
        """``[side, arena, 5]`` of the finished match: own reward, opponent's reward, hitpoints, alive time,
        cumulative hitpoints."""

    def report(self) -> dict[str, str | int]:
        """Facts for a run's summary: versions, renderer, restarts."""

    def close(self) -> None:
        """Stop everything the backend started; further calls are errors."""
