"""Updates as CUDA graphs: one launch in place of a thousand, which take a GPU longer than the arithmetic."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy
from tensordict import TensorDictBase
from torch import Tensor
from torch.optim import Optimizer

Update = Callable[[TensorDictBase], dict[str, Tensor]]

WARM_UP = 3
"""Ordinary updates with batches of a shape before one is recorded: libraries and optimizers prepare themselves."""
MAX_GRAPHS = 64
"""Largest number of graphs. Each of them keeps the memory of an update."""
WAITS = "called a synchronizing CUDA operation"
"""Part of torch's warning about an operation that waits for the GPU, which no graph can contain."""


class GraphedUpdate:
    """Runs an update as CUDA graphs, one for each shape of the batch.

    A graph repeats recorded operations on the same memory. The batch is therefore copied to the memory of the recorded
    one, and gradients must be set to zero rather than to None. The first updates with batches of a new shape are
    ordinary ones. If one of them waits for the GPU, a warning names the place, and all further updates are ordinary.
    That is the case for some custom encoders and losses.

    Args:
        update: Update of a batch. It returns detached scalars by name.
        optimizers: Optimizers that the update steps. If one of their settings changes, such as a learning rate, new
            graphs are recorded.
        generator: Generator that the update draws from.
    """

    def __init__(self, update: Update, optimizers: Sequence[Optimizer], generator: torch.Generator) -> None:
        self.update, self.optimizers, self.generator = update, optimizers, generator
        self.is_eager = False
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Update] = {}

    def __call__(self, batch: TensorDictBase) -> dict[str, Tensor]:
        if self.is_eager:
            return self.update(batch)
        key = (_shapes(batch), self._settings())
        if (graph := self._graphs.get(key)) is not None:
            return graph(batch)
        if self._seen[key] < WARM_UP:
            self._seen[key] += 1
            return self._warm_up(batch, is_watched=self._seen[key] == WARM_UP)
        if len(self._graphs) == MAX_GRAPHS:
            self._stop(f"batches or settings of optimizers have had more than {MAX_GRAPHS} forms")
            return self.update(batch)
        graph = self._graphs[key] = self._record(batch)
        return graph(batch)

    def _settings(self) -> Hashable:
        """Settings of the optimizers. A graph contains their values; it reads a tensor each time."""
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
        replay = record_graph(lambda: result.update(self.update(recorded)), self.generator)
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
        if WAITS not in str(each.message):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return result, waits


def record_graph(run: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record the operations of ``run`` without executing them; return the function that executes them."""
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    kind = "cuda"
    # autocast must not reuse a parameter that it has converted before: the graph would never convert it again
    autocast = torch.autocast(
        kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
    )
    # other threads, such as those of loggers, may use the GPU meanwhile
    with autocast, torch.cuda.graph(graph, capture_error_mode="thread_local"):
        run()
    return graph.replay


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
        for group in optimizer.param_groups:
            if "capturable" in group:
                group["capturable"] = is_captured or optimizer.defaults["capturable"]
        if is_captured:
            for parameter, state in optimizer.state.items():
                if isinstance(state.get("step"), Tensor):
                    state["step"] = state["step"].to(parameter.device)
