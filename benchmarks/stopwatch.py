"""Callback that times the updates of a run beside a matrix product, for ``python -m benchmarks.update --config``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

GEMM_SIZE = 1024
"""Number of rows and columns of the square product."""


def square_product(dtype: torch.dtype, device: str, size: int) -> Callable[[], Tensor]:
    """Return a function that computes a product of square matrices."""
    square = torch.randn(size, size, device=device).to(dtype)
    return lambda: square @ square


class Stopwatch(Callback):
    """Times the updates of a run, and a matrix product after each of them."""

    times: ClassVar[dict[str, list[float]]] = {}
    """Seconds of the updates, ``update``, and of the product, ``product``, from the third update on."""
    flop: ClassVar[float] = 0.0
    """Floating-point operations of the matrix products of an update, the mean over those that were counted."""

    def __init__(self, counted: int = 8) -> None:
        self.counted = counted
        self.counter = FlopCounterMode(display=False)
        self.product = square_product(torch.float32, "cpu", GEMM_SIZE)
        self.counts: list[int] = []
        self.last: float | None = None
        Stopwatch.times = {"update": [], "product": []}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx < self.counted:
            self.counter.__enter__()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        end = time.perf_counter()
        if batch_idx < self.counted:
            self.counter.__exit__(None, None, None)
            self.counts.append(self.counter.get_total_flops())
            Stopwatch.flop = sum(self.counts) / len(self.counts)
            return
        if self.last is not None:
            self.times["update"].append(end - self.last)
        start = time.perf_counter()
        self.product()
        self.last = time.perf_counter()
        self.times["product"].append(self.last - start)
