"""What plays the other team."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.envs.meta_env import Demonstrator


class Opponent(Demonstrator):
    """A policy for the three agents of a team that sees observations only, unless it ``follows``.

    What it remembers it forgets when ``begin`` is called; most remember nothing. In the learner's place it shows how to
    play.
    """

    items: ClassVar[Mapping[str, tuple[str, ...]]] = ITEMS_BY_SLOT
    """What its agents may hold in each natural slot, for families that give every style what it can use."""

    def begin(self, arenas: int, generator: torch.Generator) -> None:  # noqa: B027  (nothing, unless it remembers)
        """An episode starts in so many arenas: those of every call until the next start."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Legal actions for a batch of teams.

        Args:
            observation: ``[arena, 3, 64]``, each team's own view.
            generator: Source of every random number, on the observation's device.

        Returns:
            Actions ``[arena, 3, 5]`` on the observation's device.
        """

    def end(self, outcome: Tensor) -> None:  # noqa: B027
        """The episode is over: 1 won by the *other* team, 0 tied, -1 lost ``[arena]``; where there is a winner."""

    def follow(self, observation: Tensor, reward: Tensor, statistics: Tensor | None) -> None:  # noqa: B027
        """A step was played: what its teams see now ``[arena, 3, 64]``, what they were paid ``[arena, 3]``, and after
        the last step their statistics ``[arena, 5]``; only for those who follow."""

    def close(self) -> None:  # noqa: B027
        """No more is played for now; let go of what is held."""
