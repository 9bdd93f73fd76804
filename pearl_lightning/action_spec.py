"""TorchRL spec of an action row: bounded numbers followed by discrete choices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchrl.data import Bounded
from torchrl.data.tensor_specs import BoundedContinuous


def bounded_spec(low: Tensor, high: Tensor, choices: int) -> Bounded:
    """Spec of rows between ``low`` and ``high`` ``[..., width]``; the last ``choices`` columns hold whole numbers."""
    return _MixedBounded.of(Bounded(low=low, high=high, shape=low.shape, dtype=torch.float32), choices)


class _MixedBounded(BoundedContinuous):
    """A bounded spec with whole numbers in its last ``choices`` columns, so that samples are always legal actions.

    Create instances with ``of``: the constructor of any subclass of ``Bounded`` returns one of TorchRL's classes.
    """

    choices: int

    @classmethod
    def of(cls, spec: Bounded, choices: int) -> Bounded:
        """Convert ``spec`` in place to this class; its last ``choices`` columns hold whole numbers."""
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
