"""Layout of an action: bounded numbers, discrete choices, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchrl.data import Bounded


@dataclass(frozen=True)
class ActionSpace:
    """Layout of an action row: ``len(low)`` bounded numbers, then one whole number per discrete choice.

    Args:
        low: Lower bound of each continuous component; empty for discrete actions.
        high: Upper bound of each continuous component.
        choices: Number of options of each discrete component; empty for continuous actions.

    Raises:
        ValueError: There are no components, a bound is wrong, or a choice has fewer than two options.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    choices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("low", "high", "choices"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.low) != len(self.high):
            raise ValueError(f"low and high must be equally long, got {self.low} and {self.high}")
        if not self.low and not self.choices:
            raise ValueError("low and high, or choices, must not be empty, got an action without components")
        if any(not a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"each low must be below its high, got low={self.low}, high={self.high}")
        if any(n < 2 for n in self.choices):
            raise ValueError(f"every discrete choice must have at least 2 options, got choices={self.choices}")

    @property
    def continuous(self) -> int:
        """Number of continuous components."""
        return len(self.low)

    @property
    def width(self) -> int:
        """Number of columns of an action row."""
        return self.continuous + len(self.choices)

    @property
    def encoded_width(self) -> int:
        """Number of columns of an action row with one-hot encoded choices."""
        return self.continuous + sum(self.choices)

    @property
    def joint_choices(self) -> int:
        """Number of combinations of the discrete choices; 1 if there are no choices."""
        return math.prod(self.choices)

    def spec(self, shape: tuple[int, ...]) -> Bounded:
        """TorchRL spec of actions ``[*shape, width]``."""
        from pearl_lightning.action_spec import bounded_spec  # imports TorchRL, which task families do not need

        low = torch.tensor([*self.low, *([0.0] * len(self.choices))])
        high = torch.tensor([*self.high, *(float(n - 1) for n in self.choices)])
        full = torch.Size((*shape, self.width))
        return bounded_spec(low.expand(full), high.expand(full), len(self.choices))

    def sample(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Sample legal actions ``[*shape, width]`` uniformly; the generator must be on ``device``."""
        low, span = self.low_and_span(torch.device(device))
        columns = [torch.rand(*shape, self.continuous, generator=generator, device=device).mul_(span).add_(low)]
        for options in self.choices:
            draw = torch.randint(options, (*shape, 1), generator=generator, device=device, dtype=torch.float32)
            columns.append(draw)
        return torch.cat(columns, dim=-1)

    def low_and_span(self, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Lower bounds and ranges of the continuous components ``[continuous]``; they must not be changed in place."""
        if torch.compiler.is_compiling():  # an export would leave its stand-ins for tensors in the cache
            return _low_and_span.__wrapped__(self, device, dtype)
        return _low_and_span(self, device, dtype)

    def encode(self, action: Tensor) -> Tensor:
        """Encode the choices of action rows ``[..., width]`` as one-hot: ``[..., encoded_width]``.

        A choice outside its range is encoded as zeros.
        """
        if not self.choices:
            return action
        parts = [action[..., : self.continuous]]
        for number, options in enumerate(self.choices, self.continuous):  # torch's one_hot would wait for a GPU
            every = torch.arange(options, device=action.device)
            parts.append((action[..., number : number + 1].long() == every).to(action.dtype))
        return torch.cat(parts, dim=-1)

    def joint_index(self, action: Tensor) -> Tensor:
        """Index ``[...]`` of the joint discrete choice of actions ``[..., width]``; the first choice varies slowest."""
        index = torch.zeros(action.shape[:-1], dtype=torch.long, device=action.device)
        for i, n in enumerate(self.choices):
            index = index * n + action[..., self.continuous + i].long()
        return index

    def state(self) -> dict[str, Any]:
        """Return the fields as plain lists, for a checkpoint."""
        return {"low": list(self.low), "high": list(self.high), "choices": list(self.choices)}


@lru_cache(64)
def _low_and_span(space: ActionSpace, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Lower bounds and ranges ``[continuous]``. They are kept, because their transfer to a GPU would wait for it."""
    with torch.inference_mode(False):  # the learner uses the same tensors
        low, high = (torch.tensor(bounds, dtype=dtype) for bounds in (space.low, space.high))
        return low.to(device), (high - low).to(device)
