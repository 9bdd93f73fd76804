"""Beliefs: what agents have inferred about the task, one belief per arena."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.inference.conditions import Condition, SampledCondition
from pearl_lightning.inference.context import ContextLayout, ContextReader
from pearl_lightning.inference.encoders import ContextEncoder


@dataclass(frozen=True, kw_only=True)
class BeliefConfig:
    """Settings of PEARL's belief.

    Args:
        context: Selection of transitions, and of their features, that the encoder reads.
        condition: Function that creates the condition of actor and critics from the size of z.
        observe_every: Number of steps between updates of the belief within an episode; contexts in training then
            include the beginning of an episode. None for one update at the end of each episode, as in the original.
        resample_every: Number of steps between samples of z from the same belief; None for one sample per episode, as
            in the original. Resampling tests several hypotheses within the first episode, while the belief is still
            uncertain; later it has little effect.

    Raises:
        ValueError: A number of steps is below 1.
    """

    context: ContextLayout = ContextLayout()
    condition: Callable[[int], Condition] = SampledCondition
    observe_every: int | None = None
    resample_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("observe_every", "resample_every"):
            if (steps := getattr(self, name)) is not None and steps < 1:
                raise ValueError(f"belief.{name} must be at least 1 or null, got {steps}")


class Belief(ABC):
    """Beliefs ``[arena]`` about the tasks, updated with experience. They give the condition that the agent acts on.

    ``observe`` must replace tensors instead of changing them in place, because ``copy`` shares them.
    """

    @abstractmethod
    def observe(self, steps: TensorDictBase) -> None:
        """Update the beliefs with the next steps of the running episode.

        Args:
            steps: Steps ``[arena, step]`` with ``observation``, ``next_observation`` ``[..., agent, feature]``,
                ``action`` ``[..., agent, width]``, ``reward`` ``[..., agent]``, ``played`` ``[...]``, which is false
                for padding after an arena's end, and ``done`` ``[...]``, which is true if the arena's episode is over
                after the step.
        """

    @abstractmethod
    def condition(self, generator: torch.Generator | None = None) -> Tensor:
        """Return the condition ``[arena, width]`` that the agent acts on from now on."""

    def exploring_condition(self, generator: torch.Generator | None = None) -> Tensor:
        """Return the condition ``[arena, width]`` that the agent acts on to collect; ``condition`` by default."""
        return self.condition(generator)

    def expected_condition(self) -> Tensor:
        """Return the condition ``[arena, width]`` without random sampling."""
        return self.condition()

    def posterior(self) -> tuple[Tensor, Tensor] | None:
        """Return mean and standard deviation ``[arena, latent]``; None if the belief is not Gaussian."""
        return None

    @property
    def transitions(self) -> int:
        """Number of transitions read, in the arena that has the most; 0 if the belief reads none."""
        return 0

    def copy(self) -> Self:
        """Return a copy, which is updated independently."""
        return copy.copy(self)


class FixedBelief(Belief):
    """A belief that never changes, for agents that do not adapt.

    Args:
        condition: Condition ``[arena, width]``.
    """

    def __init__(self, condition: Tensor) -> None:
        self._condition = condition

    def observe(self, steps: TensorDictBase) -> None:
        pass

    def condition(self, generator: torch.Generator | None = None) -> Tensor:
        return self._condition


class GaussianBelief(Belief):
    """Posterior over z given all transitions that were read; N(0, I) before the first transition.

    The posterior within an episode includes the transitions read so far. One call of ``observe`` with many steps gives
    the same posterior as many calls with one step each.

    Args:
        encoder: Encoder that updates the posterior.
        reader: Reader that converts steps to input of the encoder.
        make_condition: Condition that is computed from a posterior.
        arenas: Number of beliefs.
    """

    def __init__(self, encoder: ContextEncoder, reader: ContextReader, make_condition: Condition, arenas: int) -> None:
        self.encoder, self.reader, self.make_condition = encoder, reader, make_condition
        self._settled_transitions = 0  # transitions in the state
        self._state = encoder.initial_state(arenas)
        self._unsettled: TensorDictBase | None = None  # steps of the running episode that are not in the state yet
        self._unsettled_input: tuple[Tensor, Tensor | None] | None = None  # cached encoder input of these steps

    @torch.no_grad()
    def observe(self, steps: TensorDictBase) -> None:
        if self._unsettled is not None:
            steps = torch.cat([self._unsettled, steps], dim=1)
        count = steps.shape[1]
        settled = count if bool(steps["done"][:, -1:].all()) else self.reader.settled(count)
        if settled:
            context, played = self._read(steps[:, :settled])
            self._state = self.encoder.update(self._state, context, played)
            self._settled_transitions += _longest(context, played)
        self._unsettled = steps[:, settled:] if settled < count else None
        self._unsettled_input = None

    @property
    def transitions(self) -> int:
        read = self._read_unsettled()
        return self._settled_transitions + (0 if read is None else _longest(*read))

    @torch.no_grad()
    def posterior(self) -> tuple[Tensor, Tensor]:
        read = self._read_unsettled()
        return self.encoder.posterior(self._state if read is None else self.encoder.update(self._state, *read))

    @torch.no_grad()
    def condition(self, generator: torch.Generator | None = None) -> Tensor:
        return self.make_condition.in_play(*self._with_noise(generator))

    @torch.no_grad()
    def exploring_condition(self, generator: torch.Generator | None = None) -> Tensor:
        condition: Tensor = self.make_condition(*self._with_noise(generator))
        return condition

    @torch.no_grad()
    def expected_condition(self) -> Tensor:
        mean, std = self.posterior()
        return self.make_condition.in_play(mean, std, torch.zeros_like(mean))

    def _with_noise(self, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and std of the posterior, and standard normal numbers, each ``[arena, latent]``."""
        mean, std = self.posterior()
        source = "cpu" if generator is None else generator.device
        return mean, std, torch.randn(mean.shape, generator=generator, device=source).to(mean.device)

    def _read_unsettled(self) -> tuple[Tensor, Tensor | None] | None:
        if self._unsettled_input is None and self._unsettled is not None:
            self._unsettled_input = self._read(self._unsettled)
        return self._unsettled_input

    def _read(self, steps: TensorDictBase) -> tuple[Tensor, Tensor | None]:
        """Input of the encoder ``[arena, transition, feature]``, and which transitions were played."""
        if "played" in steps.keys() and bool(steps["played"].all()):  # noqa: SIM118
            steps = steps.exclude("played")
        context = self.reader.encoder_input(self.reader.transitions(steps).to(self._state.device))
        played = self.reader.played(steps)
        return context, None if played is None else played.to(context.device)


def _longest(context: Tensor, played: Tensor | None) -> int:
    """Number of transitions of the arena that has the most."""
    return context.shape[1] if played is None else int(played.sum(dim=1).max())
