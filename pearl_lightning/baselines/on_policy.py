"""What learns from its own last episodes only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.baselines.context_free import ContextFreeAgent


class OnPolicyAgent(ContextFreeAgent):
    """Says how it plays in training and what updates learn from what was played; ``RolloutCollector`` does the rest."""

    @abstractmethod
    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
        """A policy for one episode: actions ``[arena, agent, width]`` for observations and the step's number."""

    @abstractmethod
    def experience(self, episode: TensorDictBase) -> TensorDictBase:
        """What updates learn from, ``[item]``, given the rows ``[arena, horizon + 1]`` of ``play_episode``."""
