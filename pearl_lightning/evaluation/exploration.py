"""Parts of the protocol ``pearl``: a belief that waits for the end of exploration, and z fixed during an episode."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.evaluation.beliefs import WrappedBelief
from pearl_lightning.experience.player import MetaAgent
from pearl_lightning.inference.belief import Belief


class DeferredBelief(WrappedBelief):
    """Collects the first episodes and updates another belief with all of them at once, when the last one is over.

    Args:
        belief: The belief that is updated.
        episodes: Number of episodes that are collected, at least 1. Later steps update the belief directly.
    """

    def __init__(self, belief: Belief, episodes: int) -> None:
        super().__init__(belief)
        self._episodes_left = episodes
        self._collected: tuple[TensorDictBase, ...] = ()

    def observe(self, steps: TensorDictBase) -> None:
        if self._episodes_left == 0:
            self.belief.observe(steps)
            return
        self._collected += (steps,)
        self._episodes_left -= bool(steps["done"][:, -1].all())
        if self._episodes_left == 0:
            for each in self._collected:
                self.belief.observe(each)
            self._collected = ()


class EpisodicAgent:
    """An agent that acts on one condition per episode, whatever its ``observe_every`` and ``resample_every`` are.

    Args:
        agent: The agent that acts.
    """

    observe_every: int | None = None
    resample_every: int | None = None

    def __init__(self, agent: MetaAgent) -> None:
        self.agent = agent

    def prior(self, arenas: int) -> Belief:
        return self.agent.prior(arenas)

    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.agent.act(observation, condition, deterministic, generator)
