"""The rules on a GPU: one match per thread, in place on the tensors' memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numba import config, cuda
from torch import Tensor

from pearl_lightning.derk.backends.simulator.match import face_match, sense_match, step_match
from pearl_lightning.derk.backends.simulator.rules import Settings
from pearl_lightning.derk.backends.simulator.state import MatchState
from pearl_lightning.derk.backends.simulator.terrain import Terrain

BLOCK = 32
"""Threads per block. The number is small, so that a few thousand matches use all multiprocessors."""

warnings.filterwarnings("ignore", ".*Grid size .* low occupancy")  # a small number of matches is intended


@cuda.jit
def _step(
    u, n, shots, shot_targets, weights, events, height, steep, substeps, episode_ticks, recorded, turbo, corrected,
    counts_events, tick, action, observation, reward,
):  # fmt: skip
    arena = cuda.grid(1)  # type: ignore[call-arg, var-annotated]
    if arena < u.shape[0]:
        step_match(
            u[arena], n[arena], shots[arena], shot_targets[arena], weights[arena], events[arena % events.shape[0]],
            Terrain(height, steep), Settings(substeps, episode_ticks, recorded, turbo, corrected, counts_events),
            tick, action, observation, reward, arena,
        )  # fmt: skip


@cuda.jit
def _sense(u, n, height, steep, recorded, observation):
    arena = cuda.grid(1)  # type: ignore[call-arg, var-annotated]
    if arena < u.shape[0]:
        sense_match(u[arena], n[arena], Terrain(height, steep), recorded, observation, arena)


@cuda.jit
def _face(u, recorded):
    arena = cuda.grid(1)  # type: ignore[call-arg, var-annotated]
    if arena < u.shape[0]:
        face_match(u[arena], recorded)


class CudaRunner:
    """Runs the rules on CUDA tensors, on torch's current stream.

    Args:
        terrain: Terrain of all matches.
        settings: Settings of all matches.
        device: Device of the tensors.
    """

    def __init__(self, terrain: Terrain, settings: Settings, device: torch.device) -> None:
        self.terrain = tuple(torch.from_numpy(grid).to(device) for grid in terrain)
        self.settings = settings

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None:
        """Play the ticks of one step after ``tick``; write observation and reward."""
        _launch(_step, *state.tensors, *self.terrain, *self.settings, tick, action, observation, reward)

    def sense(self, state: MatchState, observation: Tensor) -> None:
        """Write the observations of the current state."""
        _launch(_sense, state.numbers, state.counts, *self.terrain, self.settings.recorded, observation)

    def face(self, state: MatchState) -> None:
        """Compute the directions from the headings."""
        _launch(_face, state.numbers, self.settings.recorded)


def _launch(kernel: Any, first: Tensor, *others: Any) -> None:
    """Run a kernel over the arenas; they are the first axis of ``first``."""
    arguments = [_as_array(each) if isinstance(each, Tensor) else each for each in (first, *others)]
    stream = cuda.external_stream(torch.cuda.current_stream(first.device).cuda_stream) if first.is_cuda else 0
    with _unfused():
        kernel[(len(first) + BLOCK - 1) // BLOCK, BLOCK, stream](*arguments)


@contextmanager
def _unfused() -> Iterator[None]:
    """Make kernels that are compiled in this context round every product, as the CPU does.

    By default the compiler fuses a product with the sum it is added to. This changes the last bit, which decides which
    units are in range and on which side a target straight behind is seen. NVVM has an option that turns fusion off, but
    ``cuda.jit`` does not pass it on, and link-time optimization would undo it.
    """
    if config.ENABLE_CUDASIM:  # type: ignore[attr-defined]
        yield
        return
    from numba.cuda import dispatcher

    original = dispatcher.compile_cuda

    def compile_cuda(*arguments: Any, nvvm_options: dict[str, Any], **others: Any) -> Any:
        if "lto" in others:
            others["lto"] = False
        return original(*arguments, nvvm_options={**nvvm_options, "fma": 0}, **others)

    dispatcher.compile_cuda = compile_cuda
    try:
        yield
    finally:
        dispatcher.compile_cuda = original


def _as_array(tensor: Tensor) -> Any:
    """Return the tensor's memory for a kernel. CPU tensors occur only with numba's GPU simulator."""
    return cuda.as_cuda_array(tensor.detach()) if tensor.is_cuda else tensor.numpy()
