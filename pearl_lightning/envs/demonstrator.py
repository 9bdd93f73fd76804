"""Base class of policies that demonstrate how to act in an environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Demonstrator(ABC):
    """A policy that plays episodes for a learner to learn from. It receives the learner's observations."""

    follows: ClassVar[bool] = False
    """Whether the policy needs the result of every step, as some opponents do. Such a policy cannot demonstrate."""

    @abstractmethod
    def begin(self, arenas: int, generator: torch.Generator) -> None:
        """Called at the start of an episode with the number of arenas."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return legal actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]``.

        All random numbers come from the generator, which is on the observation's device.
        """
