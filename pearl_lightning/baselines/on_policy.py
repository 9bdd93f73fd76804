"""What learns from its own last episodes only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.baselines.context_free import ContextFreeAgent
from pearl_lightning.baselines.rollouts import rollout_data


class OnPolicyAgent(ContextFreeAgent):
    """Says how it plays in training and what updates learn from what was played; ``RolloutCollector`` does the rest."""

    learns_from_whole_iterations: ClassVar[bool] = False
    """Whether an update needs everything that was played, once: one minibatch and one epoch of the data module."""

    def on_fit_start(self) -> None:
        data = rollout_data(self.trainer)
        if self.learns_from_whole_iterations and (data.minibatches, data.epochs) != (1, 1):
            raise ValueError(
                f"minibatches and epochs must be 1 for {type(self).__name__}, got {data.minibatches} and {data.epochs}"
            )

    @abstractmethod
    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
        """A policy for one episode: actions ``[arena, agent, width]`` for observations and the step's number."""

    @abstractmethod
    def experience(self, episode: TensorDictBase) -> TensorDictBase:
        """What updates learn from, ``[item]``, given the rows ``[arena, horizon + 1]`` of ``play_episode``."""
