"""Updates as CUDA graphs: one launch in place of a thousand, which take a GPU longer than the arithmetic."""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy
from tensordict import TensorDictBase
from torch import Tensor
from torch.optim import Optimizer

Update = Callable[[TensorDictBase], dict[str, Tensor]]

WARM_UP = 3
"""Ordinary updates with batches of a shape before one is recorded: libraries and optimizers prepare themselves."""
MAX_RECORDINGS = 64
"""Largest number of recordings in a run. Each of them takes as long as many updates."""
WAITS = "called a synchronizing CUDA operation"
"""Part of torch's warning about an operation that waits for the GPU, which no graph can contain."""
PROTOTYPE = "Synchronization debug mode is a prototype"
"""Part of torch's warning about these warnings."""


class GraphedUpdate:
    """Runs an update as CUDA graphs, one for each shape of the batch.

    A graph repeats recorded operations on the same memory. The batch is therefore copied to the memory of the recorded
    one, and gradients must be set to zero rather than to None. The first updates with batches of a new shape are
    ordinary ones. If one of them waits for the GPU, a warning names the place, and all further updates are ordinary.
    That is the case for some custom encoders and losses.

    Python code runs only while an update is recorded. A number that changes from update to update must therefore be in
    a tensor that is changed in place.

    Args:
        update: Update of a batch. It returns detached scalars by name.
        optimizers: Optimizers that the update steps. If one of their settings changes, such as a learning rate, the
            graphs are recorded again.
        generator: Generator that the update draws from.
    """

    def __init__(self, update: Update, optimizers: Sequence[Optimizer], generator: torch.Generator) -> None:
        self.update, self.optimizers, self.generator = update, optimizers, generator
        self.is_eager = False
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Update] = {}
        self._recorded_settings: Hashable = None
        self._recordings = 0
        self._pool: Any = None  # memory that all graphs share, because one of them runs at a time

    def __call__(self, batch: TensorDictBase) -> dict[str, Tensor]:
        if self.is_eager:
            return self.update(batch)
        if (settings := self._settings()) != self._recorded_settings:
            self._graphs.clear()
            self._recorded_settings = settings
        shapes = _shapes(batch)
        if (graph := self._graphs.get(shapes)) is not None:
            return graph(batch)
        if self._seen[shapes] < WARM_UP:
            self._seen[shapes] += 1
            return self._warm_up(batch, is_watched=self._seen[shapes] == WARM_UP)
        if self._recordings == MAX_RECORDINGS:
            self._stop(f"updates were recorded {MAX_RECORDINGS} times, for shapes of batches and learning rates")
            return self.update(batch)
        try:
            graph = self._graphs[shapes] = self._record(batch)
        except RuntimeError as error:  # for example, from an operation that a graph cannot contain
            self._stop(f"an update cannot be recorded: {error}")
            return self.update(batch)
        return graph(batch)

    def _settings(self) -> Hashable:
        """Settings of the optimizers that a graph contains as numbers. Tensors are left out: a graph reads them."""
        groups = (group.items() for optimizer in self.optimizers for group in optimizer.param_groups)
        return tuple((n, v) for items in groups for n, v in items if n != "params" and not isinstance(v, Tensor))

    def _warm_up(self, batch: TensorDictBase, is_watched: bool) -> dict[str, Tensor]:
        """Update in the ordinary way; if ``is_watched``, notice what waits for the GPU."""
        if not is_watched:
            return on_side_stream(lambda: self.update(batch))
        result, waits = watched(lambda: on_side_stream(lambda: self.update(batch)))
        if waits:
            self._stop(f"an update waits for the GPU: {waits[0]}")
        return result

    def _stop(self, reason: str) -> None:
        self.is_eager = True
        self._graphs.clear()
        warnings.warn(f"{reason}; updates run without CUDA graphs, several times slower", stacklevel=2)

    def _record(self, batch: TensorDictBase) -> Update:
        recorded: TensorDictBase = batch.clone()
        result: dict[str, Tensor] = {}
        replay, self._pool = record_graph(lambda: result.update(self.update(recorded)), self.generator, self._pool)
        self._recordings += 1
        memory = list(recorded.values(include_nested=True, leaves_only=True))

        def run(batch: TensorDictBase) -> dict[str, Tensor]:
            torch._foreach_copy_(memory, list(batch.values(include_nested=True, leaves_only=True)))
            replay()
            return result

        return run


def _shapes(batch: TensorDictBase) -> Hashable:
    """Names, shapes and types of the tensors of a batch, in their order."""
    return tuple((name, value.shape, value.dtype) for name, value in batch.items(True, True))


def on_side_stream(update: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Call on another stream than the current one, as updates must be before one is recorded on another stream."""
    current, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        result = update()
    current.wait_stream(side)
    return result


def watched(update: Callable[[], dict[str, Tensor]]) -> tuple[dict[str, Tensor], list[str]]:
    """Call, and return also the file and line of each operation that has waited for the GPU."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            result = update()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    waits = [f"{each.filename}:{each.lineno}" for each in found if WAITS in str(each.message)]
    for each in found:
        if not any(text in str(each.message) for text in (WAITS, PROTOTYPE)):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return result, waits


def record_graph(run: Callable[[], None], generator: torch.Generator, pool: Any) -> tuple[Callable[[], None], Any]:
    """Record the operations of ``run`` without executing them; return the function that executes them, and its memory.

    Args:
        run: Function to record.
        generator: Generator that it draws from.
        pool: Memory that the graph shares with earlier ones; None for the first one.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    is_mixed, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    # autocast must not reuse a parameter that it has converted before: the graph would never convert it again
    autocast = torch.autocast("cuda", dtype, enabled=is_mixed, cache_enabled=False)
    # other threads, such as those of loggers, may use the GPU meanwhile
    with _no_collection(), autocast, torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        run()
    return graph.replay, graph.pool()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect garbage now and not inside: a recording fails if an older graph is deleted meanwhile."""
    gc.collect()
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def why_without_graphs(trainer: Trainer, optimizers: Sequence[Optimizer]) -> str | None:
    """Reason why updates on a GPU cannot be recorded; None if they can."""
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return f"trainer.strategy {type(trainer.strategy).__name__} exchanges gradients between processes"
    for optimizer in optimizers:
        if any("capturable" not in group for group in optimizer.param_groups):
            return f"{type(optimizer).__name__} has no option capturable"
    return None


def set_capturable(optimizers: Sequence[Optimizer], is_captured: bool) -> None:
    """Set the option ``capturable`` of each optimizer that has it, and move the counts of its steps accordingly.

    Otherwise, each has the value that it was made with, and not that of a checkpoint: torch refuses it on the CPU.
    """
    for optimizer in optimizers:
        for group in (group for group in optimizer.param_groups if "capturable" in group):
            group["capturable"] = is_captured or optimizer.defaults["capturable"]
            is_on_device = group["capturable"] or group.get("fused")
            for parameter in group["params"]:
                if isinstance(step := optimizer.state.get(parameter, {}).get("step"), Tensor):
                    optimizer.state[parameter]["step"] = step.to(parameter.device if is_on_device else "cpu")
        if is_captured:  # no warning when it steps outside a graph, as in the first updates
            optimizer._warned_capturable_if_run_uncaptured = True
