"""Base class of on-policy agents, which learn only from their latest episodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.agents.context_free import ContextFreeAgent


class OnPolicyAgent(ContextFreeAgent):
    """Defines the policy for training episodes and the data for updates; ``RolloutCollector`` collects the episodes."""

    learns_from_whole_iterations: ClassVar[bool] = False
    """Whether an update uses all collected data once. The data module must then have one minibatch and one epoch."""

    @abstractmethod
    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
        """Return a policy for one episode: it maps observations and step number to ``[arena, agent, width]``."""

    @abstractmethod
    def experience(self, episode: TensorDictBase) -> TensorDictBase:
        """Convert the rows ``[arena, horizon + 1]`` of ``play_episode`` to data for updates ``[item]``."""
