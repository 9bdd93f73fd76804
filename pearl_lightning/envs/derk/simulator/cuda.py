"""The rules on a GPU: one match per thread, on the tensors' own memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numba import config, cuda
from torch import Tensor

from pearl_lightning.envs.derk.simulator.match import face_match, sense_match, step_match
from pearl_lightning.envs.derk.simulator.rules import Settings
from pearl_lightning.envs.derk.simulator.state import MatchState
from pearl_lightning.envs.derk.simulator.terrain import Terrain

BLOCK = 32
"""Threads of a block; few, so that a few thousand matches reach every multiprocessor."""

warnings.filterwarnings("ignore", ".*Grid size .* low occupancy")  # few matches are no mistake


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
    """Runs the rules on CUDA tensors, in the order of torch's own work on the current stream.

    Args:
        terrain: What the matches are played on.
        settings: What holds for all of them.
        device: Where the tensors lie.
    """

    def __init__(self, terrain: Terrain, settings: Settings, device: torch.device) -> None:
        self.terrain = tuple(torch.from_numpy(grid).to(device) for grid in terrain)
        self.settings = settings

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None:
        """Play the ticks of a step after ``tick``; writes observation and reward."""
        matches = (state.numbers, state.counts, state.shots, state.shot_targets, state.weights, state.events)
        _launch(_step, *matches, *self.terrain, *self.settings, tick, action, observation, reward)

    def sense(self, state: MatchState, observation: Tensor) -> None:
        """Write the observations of the state as it is."""
        _launch(_sense, state.numbers, state.counts, *self.terrain, self.settings.recorded, observation)

    def face(self, state: MatchState) -> None:
        """Make the directions those of the headings."""
        _launch(_face, state.numbers, self.settings.recorded)


def _launch(kernel: Any, first: Tensor, *others: Any) -> None:
    """Run a kernel over the arenas, the first axis of ``first``."""
    arguments = [_as_array(each) if isinstance(each, Tensor) else each for each in (first, *others)]
    stream = cuda.external_stream(torch.cuda.current_stream(first.device).cuda_stream) if first.is_cuda else 0
    with _unfused():
        kernel[(len(first) + BLOCK - 1) // BLOCK, BLOCK, stream](*arguments)


@contextmanager
def _unfused() -> Iterator[None]:
    """Kernels compiled within round every product, as the CPU does.

    By default the compiler fuses a product into the sum it is added to. The last bit this changes decides who is in
    range, and on which side something straight behind is seen. NVVM has an option for it, which ``cuda.jit`` does not
    pass on, and which optimization at link time would undo.
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
    """The tensor's memory for a kernel; tensors on the CPU are for numba's simulator of a GPU."""
    return cuda.as_cuda_array(tensor.detach()) if tensor.is_cuda else tensor.numpy()
