"""Temperatures of a soft actor-critic: the weights of the policy's entropy, one per part of a hybrid action."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents import objectives


class Temperature(nn.Module, ABC):
    """One temperature for the continuous part of an action and one for each discrete choice.

    Args:
        action_space: Layout of one agent's action.
    """

    def __init__(self, action_space: ActionSpace) -> None:
        super().__init__()
        self.parts = 1 + len(action_space.choices)

    @abstractmethod
    def forward(self) -> Tensor:
        """Return the temperatures ``[1 + choices]``, without a gradient."""

    def loss(self, entropies: Tensor) -> Tensor | None:
        """Loss of the temperatures given the policy's mean entropies ``[1 + choices]``; None if they are fixed."""
        return None


class FixedTemperature(Temperature):
    """A constant temperature for every part. The scale of the rewards must suit it.

    Args:
        action_space: Layout of one agent's action.
        value: Temperature, at least 0.

    Raises:
        ValueError: The value is out of its range.
    """

    values: Tensor

    def __init__(self, action_space: ActionSpace, value: float = 1.0) -> None:
        super().__init__(action_space)
        if not 0 <= value < math.inf:
            raise ValueError(f"FixedTemperature's value must be at least 0 and finite, got {value}")
        self.register_buffer("values", torch.full((self.parts,), value), persistent=False)  # the config defines it

    def forward(self) -> Tensor:
        return self.values


class LearnedTemperature(Temperature):
    """Learned temperatures, which keep the entropies near targets (Haarnoja et al. 2018b, sec. 5).

    Args:
        action_space: Layout of one agent's action.
        initial: Initial value of every temperature in a new run; must be positive.
        target_entropy: Target entropy of the continuous part, in nats per component.
        target_choice_entropy: Target entropy of each discrete choice, as a share of log(options), in (0, 1). Discrete
            SAC is sensitive to it (Christodoulou 2019; Xu et al. 2021).

    Raises:
        ValueError: A setting is out of its range.
    """

    target_entropies: Tensor

    def __init__(
        self,
        action_space: ActionSpace,
        initial: float = 0.2,
        target_entropy: float = -1.0,
        target_choice_entropy: float = 0.4,
    ) -> None:
        super().__init__(action_space)
        if not 0 < initial < math.inf:
            raise ValueError(f"LearnedTemperature's initial must be above 0 and finite, got {initial}")
        if not math.isfinite(target_entropy):
            raise ValueError(f"target_entropy must be finite, got {target_entropy}")
        if not 0 < target_choice_entropy < 1:
            raise ValueError(f"target_choice_entropy must be in (0, 1), got {target_choice_entropy}")
        self.initial = initial
        self.log_temperatures = nn.Parameter(torch.full((self.parts,), math.log(initial)))
        targets = [target_entropy * action_space.continuous]
        targets += [target_choice_entropy * math.log(options) for options in action_space.choices]
        self.register_buffer("target_entropies", torch.tensor(targets), persistent=False)

    def forward(self) -> Tensor:
        return self.log_temperatures.detach().exp()

    def loss(self, entropies: Tensor) -> Tensor:
        return objectives.temperature_loss(self.log_temperatures, entropies, self.target_entropies)
