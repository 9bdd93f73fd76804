"""Interface of a Derk backend. The simulator and the real game both implement it and are interchangeable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from pearl_lightning.derk.tasks import DerkTask


class DerkBackend(Protocol):
    """Plays ``arenas`` matches in parallel; the caller controls both teams.

    Side 0 is home, side 1 is away. The shape, finiteness and range of actions are checked before they are sent, and a
    ``ValueError`` names the first invalid entry. If the game breaks during an episode, ``step`` or ``reset`` raises
    ``pearl_lightning.envs.meta_env.EpisodeLost`` within a documented time, and the next ``reset`` starts a new game.
    """

    arenas: int
    episode_steps: int
    device: torch.device
    """Device of observations, rewards and actions."""

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        """Start one match per arena; return observations ``[side, arena, agent, 64]``. The seed fixes the spawns."""

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Play actions ``[side, arena, agent, 5]``; return observations, rewards ``[side, arena, agent]`` and done."""

    def team_stats(self) -> Tensor:
        """Statistics ``[side, arena, 5]`` of the finished match: the side's reward, the other side's reward,
        hitpoints, alive time, cumulative hitpoints."""

    def report(self) -> dict[str, str | int]:
        """Return facts for the summary of a run: versions, renderer, number of restarts."""

    def close(self) -> None:
        """Stop everything that the backend started. Later calls raise an error."""
