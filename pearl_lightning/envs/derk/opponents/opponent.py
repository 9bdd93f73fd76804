"""What plays the other team."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ITEMS_BY_SLOT


class Opponent(ABC):
    """A policy for the three agents of a team that sees observations only and remembers nothing."""

    items: ClassVar[Mapping[str, tuple[str, ...]]] = ITEMS_BY_SLOT
    """What its agents may hold in each natural slot, for families that give every style what it can use."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Legal actions for a batch of teams.

        Args:
            observation: ``[arena, 3, 64]``, each team's own view.
            generator: Source of every random number, on the observation's device.

        Returns:
            Actions ``[arena, 3, 5]`` on the observation's device.
        """
