"""A quick check for numbers that are not finite."""

from __future__ import annotations

import torch
from torch import Tensor


def is_finite(values: Tensor) -> bool:
    """Whether all numbers are finite. This reads them once, where ``isfinite`` would also write as many truth values."""
    return bool(torch.isfinite(torch.stack(values.aminmax())).all()) if values.numel() else True
