"""What an action is made of: bounded numbers followed by discrete choices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchrl.data import Bounded
from torchrl.data.tensor_specs import BoundedContinuous


class _MixedBounded(BoundedContinuous):
    """Bounds whose last ``choices`` columns hold whole numbers: a draw is always a legal action.

    Instances are made by ``of``: constructing any ``Bounded`` gives TorchRL's own class, whatever was asked for.
    """

    choices: int

    @classmethod
    def of(cls, spec: Bounded, choices: int) -> Bounded:
        """``spec`` itself, turned into one whose last ``choices`` columns are whole."""
        spec.__class__, spec.choices = cls, choices
        return spec

    def rand(self, shape: Any = None) -> Tensor:
        draw = super().rand(shape)
        whole = draw[..., draw.shape[-1] - self.choices :]
        options = self.space.high[..., self.shape[-1] - self.choices :] + 1
        whole.copy_((torch.rand_like(whole) * options).floor())
        return draw

    def is_in(self, val: Tensor) -> bool:
        whole = val[..., val.shape[-1] - self.choices :]
        return super().is_in(val) and bool((whole == whole.round()).all())

    def clone(self) -> Bounded:
        return self.of(super().clone(), self.choices)

    def expand(self, *shape: Any) -> Bounded:
        return self.of(super().expand(*shape), self.choices)

    def to(self, dest: Any) -> Bounded:
        return self.of(super().to(dest), self.choices)


@dataclass(frozen=True)
class ActionSpace:
    """Layout of an action row: ``len(low)`` bounded numbers, then one whole number per discrete choice.

    Args:
        low: Lower bound of each continuous component.
        high: Upper bound of each continuous component.
        choices: Number of options of each discrete component; empty for continuous actions.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    choices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("low", "high", "choices"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.low) != len(self.high) or not self.low:
            raise ValueError(f"low and high must be non-empty and equally long, got {self.low} and {self.high}")
        if any(not a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"each low must be below its high, got low={self.low}, high={self.high}")
        if any(n < 2 for n in self.choices):
            raise ValueError(f"every discrete choice needs at least 2 options, got choices={self.choices}")

    @property
    def continuous(self) -> int:
        """Number of continuous components."""
        return len(self.low)

    @property
    def width(self) -> int:
        """Numbers in one action row."""
        return self.continuous + len(self.choices)

    @property
    def encoded_width(self) -> int:
        """Numbers in one action row once each choice is a one-hot."""
        return self.continuous + sum(self.choices)

    @property
    def joint_choices(self) -> int:
        """Number of combinations of the discrete choices; 1 when there is none."""
        return math.prod(self.choices)

    def spec(self, shape: tuple[int, ...]) -> Bounded:
        """TorchRL spec of actions ``[*shape, width]``."""
        low = torch.tensor([*self.low, *([0.0] * len(self.choices))])
        high = torch.tensor([*self.high, *(float(n - 1) for n in self.choices)])
        full = torch.Size((*shape, self.width))
        bounded = Bounded(low=low.expand(full), high=high.expand(full), shape=full, dtype=torch.float32)
        return _MixedBounded.of(bounded, len(self.choices))

    def sample(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Uniform legal actions ``[*shape, width]``; the generator must be the device's."""
        uniform = torch.rand(*shape, self.continuous, generator=generator, device=device)
        bounds = enumerate(zip(self.low, self.high, strict=True))  # numbers, for a tensor would be copied to a GPU
        columns = [low + uniform[..., i : i + 1] * (high - low) for i, (low, high) in bounds]
        columns += [torch.randint(n, (*shape, 1), generator=generator, device=device).float() for n in self.choices]
        return torch.cat(columns, dim=-1)

    def encode(self, action: Tensor) -> Tensor:
        """Action rows ``[..., width]`` with every choice as a one-hot ``[..., encoded_width]``."""
        if not self.choices:
            return action
        parts = [action[..., : self.continuous]]
        parts += [
            one_hot(action[..., self.continuous + i].long(), n).to(action.dtype) for i, n in enumerate(self.choices)
        ]
        return torch.cat(parts, dim=-1)

    def joint_index(self, action: Tensor) -> Tensor:
        """Index ``[...]`` of the discrete part of ``[..., width]`` among ``joint_choices``, first choice slowest."""
        index = torch.zeros(action.shape[:-1], dtype=torch.long, device=action.device)
        for i, n in enumerate(self.choices):
            index = index * n + action[..., self.continuous + i].long()
        return index

    def state(self) -> dict[str, Any]:
        """Plain lists, as a checkpoint stores them."""
        return {"low": list(self.low), "high": list(self.high), "choices": list(self.choices)}
