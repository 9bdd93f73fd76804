"""Beliefs for evaluations: one that records its posteriors, and one with the wrong context."""

from __future__ import annotations

from typing import Self

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.inference.belief import Belief

TRACE_POINTS = 10
"""Largest number of recorded posteriors per episode."""


class WrappedBelief(Belief):
    """A belief that passes everything on to another one.

    Args:
        belief: The other belief.
    """

    def __init__(self, belief: Belief) -> None:
        self.belief = belief

    @property
    def transitions(self) -> int:
        return self.belief.transitions

    def observe(self, steps: TensorDictBase) -> None:
        self.belief.observe(steps)

    def condition(self, generator: torch.Generator | None = None) -> Tensor:
        return self.belief.condition(generator)

    def exploring_condition(self, generator: torch.Generator | None = None) -> Tensor:
        return self.belief.exploring_condition(generator)

    def expected_condition(self) -> Tensor:
        return self.belief.expected_condition()

    def posterior(self) -> tuple[Tensor, Tensor] | None:
        return self.belief.posterior()

    def copy(self) -> Self:
        copied = super().copy()
        copied.belief = self.belief.copy()
        return copied


class TracedBelief(WrappedBelief):
    """Records the prior and up to ``TRACE_POINTS`` posteriors per episode of another belief.

    Args:
        belief: The recorded belief.
        horizon: Number of steps in an episode.
    """

    def __init__(self, belief: Belief, horizon: int) -> None:
        super().__init__(belief)
        self._every = -(-horizon // TRACE_POINTS)
        self._points = -(-horizon // self._every)  # per episode
        self._steps = 0  # of the running episode
        self.posteriors: tuple[Tensor, ...] = (self._mean_and_std(),)
        """Mean and standard deviation at each point ``[arena, 2, latent]``, starting with the prior."""
        self.counts: tuple[int, ...] = (0,)
        """Number of transitions read before each point."""

    def observe(self, steps: TensorDictBase) -> None:
        while steps.shape[1]:
            part, steps = steps.split(self._parts(steps.shape[1]), dim=1)
            self.belief.observe(part)
            self._steps += part.shape[1]
            is_over = bool(part["done"][:, -1].all())
            if is_over or self._steps % self._every == 0:
                # an episode that is over before the horizon repeats its last posterior
                repeats = 1 if not is_over else self._points - (len(self.posteriors) - 1) % self._points
                self.posteriors += (self._mean_and_std(),) * repeats
                self.counts += (self.belief.transitions,) * repeats
            if is_over:
                self._steps = 0

    def _parts(self, steps: int) -> list[int]:
        first = min(self._every - self._steps % self._every, steps)
        return [first, steps - first]

    def _mean_and_std(self) -> Tensor:
        posterior = self.belief.posterior()
        if posterior is None:
            return self.belief.expected_condition()[:, :0].unsqueeze(1).expand(-1, 2, -1)
        return torch.stack(posterior, dim=1)


class MisledBelief(WrappedBelief):
    """Updates a belief with the steps of other arenas; with this control, adaptation must show no gain.

    Args:
        belief: The belief that is updated.
        source: Arena whose steps each arena's belief observes ``[arena]``.
    """

    def __init__(self, belief: Belief, source: Tensor) -> None:
        super().__init__(belief)
        self.source = source

    def observe(self, steps: TensorDictBase) -> None:
        self.belief.observe(steps[self.source.to(steps["reward"].device)])
