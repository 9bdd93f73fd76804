"""Base class of on-policy agents, which learn only from their latest episodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.agents.agent import Agent


class OnPolicyAgent(Agent):
    """Defines the data for updates; ``RolloutCollector`` collects the episodes."""

    learns_from_whole_iterations: ClassVar[bool] = False
    """Whether an update uses all collected data once. The data module must then have one minibatch and one epoch."""
    episodes: int = 1
    """Number of episodes of a task that an arena plays in an iteration, one after another with the same belief."""

    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor] | None:
        """Return a policy for one training episode, or None, the default, to play as the agent plays.

        The policy maps observations and the number of the step to actions ``[arena, agent, width]``.
        """
        return None

    @abstractmethod
    def experience(self, episodes: Sequence[TensorDictBase]) -> TensorDictBase:
        """Convert the rows ``[arena, horizon + 1]`` of ``play_episode``, one per episode, to data ``[item]``."""
