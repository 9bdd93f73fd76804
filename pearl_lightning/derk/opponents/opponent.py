"""Base class of the policies that play the other team."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ITEMS_BY_SLOT
from pearl_lightning.envs.demonstrator import Demonstrator


class Opponent(Demonstrator):
    """A policy for the three agents of a team.

    It receives observations only, and also rewards and statistics if ``follows`` is true. ``begin`` resets its memory,
    if it has any. An opponent can also play the learner's team, as a demonstrator.
    """

    items: ClassVar[Mapping[str, tuple[str, ...]]] = ITEMS_BY_SLOT
    """Items that the policy can use in each natural slot. Some task families draw its loadouts from them."""

    def begin(self, arenas: int, generator: torch.Generator) -> None:  # noqa: B027  (does nothing by default)
        """Called at the start of an episode with the number of arenas of all calls until the next start."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return legal actions for a batch of teams.

        Args:
            observation: Each team's observation ``[arena, 3, 64]``.
            generator: Source of all random numbers, on the observation's device.

        Returns:
            Actions ``[arena, 3, 5]`` on the observation's device.
        """

    def end(self, outcome: Tensor) -> None:  # noqa: B027
        """Called after an episode that has an outcome ``[arena]``: 1 if the *other* team won, 0 for a tie, else -1."""

    def follow(self, observation: Tensor, reward: Tensor, statistics: Tensor | None) -> None:  # noqa: B027
        """Called after each step if ``follows`` is true, with its teams' observations ``[arena, 3, 64]``, rewards
        ``[arena, 3]`` and, after the last step, statistics ``[arena, 5]``."""

    def close(self) -> None:  # noqa: B027
        """Release all resources, such as connections. The opponent may be used again later."""
