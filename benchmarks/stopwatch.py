"""Times of the updates of a shipped config beside a matrix product, for ``python -m benchmarks.update --config``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pearl_lightning import cli
from pearl_lightning.agents.off_policy import OffPolicyAgent

GEMM_SIZE = 1024
"""Number of rows and columns of the square product."""
COUNTED = 8
"""Number of first updates whose operations are counted; they are not timed."""


def square_product(dtype: torch.dtype, device: torch.device | str, size: int) -> Callable[[], Tensor]:
    """Return a function that computes a product of square matrices."""
    square = torch.randn(size, size, device=device).to(dtype)
    return lambda: square @ square


class Stopwatch(Callback):
    """Times the updates of a run, and a matrix product after each of them.

    On a GPU, which must not be waited for, all updates are timed together, and products afterwards.
    """

    times: ClassVar[dict[str, list[float]]] = {}
    """Seconds of the updates, ``update``, and of the product, ``product``, after the counted ones."""
    flop: ClassVar[float] = 0.0
    """Floating-point operations of the matrix products of an update, the mean over those that were counted."""

    def __init__(self) -> None:
        self.counter = FlopCounterMode(display=False)
        self.product: Callable[[], Tensor] | None = None
        self.counts: list[int] = []
        self.last: float | None = None
        Stopwatch.times = {"update": [], "product": []}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.product is None:
            self.product = square_product(torch.float32, pl_module.device, GEMM_SIZE)
        if trainer.global_step < COUNTED:
            self.counter.__enter__()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        end, number = time.perf_counter(), trainer.global_step - 1  # batches are counted anew in every epoch
        if number < COUNTED:
            self.counter.__exit__(None, None, None)
            self.counts.append(self.counter.get_total_flops())
            counted = [count for count in self.counts if count]  # a replayed CUDA graph counts as nothing
            Stopwatch.flop = sum(counted) / len(counted)
            return
        if pl_module.device.type == "cuda":
            require_graphs(pl_module)
            self._time_on_gpu(number, trainer.max_steps)
            return
        if self.last is not None:
            self.times["update"].append(end - self.last)
        start = time.perf_counter()
        assert self.product is not None
        self.product()
        self.last = time.perf_counter()
        self.times["product"].append(self.last - start)

    def _time_on_gpu(self, number: int, updates: int) -> None:
        """Wait for the GPU halfway, when the graphs are recorded, and at the end; time what is between."""
        if number not in (updates // 2, updates - 1):
            return
        torch.cuda.synchronize()
        if number == updates // 2:
            self.last = time.perf_counter()
            return
        assert self.last is not None
        assert self.product is not None
        self.times["update"].append((time.perf_counter() - self.last) / (updates - 1 - updates // 2))
        for _ in range(20):
            start = time.perf_counter()
            self.product()
            torch.cuda.synchronize()
            self.times["product"].append(time.perf_counter() - start)


def require_graphs(agent: OffPolicyAgent) -> None:
    """Raise an error if the updates of an agent on a GPU are not CUDA graphs, whose speed is to be measured.

    Raises:
        RuntimeError: They are not.
    """
    if not agent.is_graphed:
        raise RuntimeError("the updates are not recorded as CUDA graphs: a warning above names the reason")


def measure_config(config: str, updates: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Train a shipped config for some updates; return the time of an update, and its share of the GEMM rate.

    Raises:
        ValueError: There are too few updates to time one.
    """
    if updates < COUNTED + 2:
        raise ValueError(f"updates must be at least {COUNTED + 2}, because {COUNTED} are counted, got {updates}")
    with tempfile.TemporaryDirectory() as folder:
        options = ["--runs_dir", folder, "--threads", str(threads), "--trainer.max_steps", str(updates)]
        options += ["--trainer.callbacks=[{class_path: benchmarks.stopwatch.Stopwatch}]"]
        options += ["--trainer.limit_val_batches=0", "--evaluation=null", "--checkpoint=null"]
        options += ["--trainer.accelerator", "gpu" if device == "cuda" else device, "--trainer.devices=1"]
        options += ["--collector.initial_iterations=1", f"--collector.every_n_updates={updates + 1}"]
        if cli.main(["fit", "--config", config, *options, "--trainer.enable_progress_bar=false"]):
            raise RuntimeError(f"{config} could not be trained")
    seconds = {name: statistics.median(times) for name, times in Stopwatch.times.items()}
    rate = 2 * GEMM_SIZE**3 / seconds["product"]
    return {
        "config": config,
        "device": device,
        "threads": threads,
        "gflop": Stopwatch.flop / 1e9,
        "milliseconds": 1e3 * seconds["update"],
        "gemm_gflop_per_second": rate / 1e9,
        "share_of_gemm_rate": Stopwatch.flop / seconds["update"] / rate,
        "spin_count": os.environ.get("GOMP_SPINCOUNT"),  # how long threads wait before they give up their core
    }


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Run ``count`` other processes, each of which needs a core all the time."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()
