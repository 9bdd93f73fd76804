"""The rules on the CPU: matches in parallel on several threads."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from pearl_lightning.derk.backends.simulator.compiling import temporary_cache
from pearl_lightning.derk.backends.simulator.match import face_match, sense_match, step_match
from pearl_lightning.derk.backends.simulator.rules import Settings
from pearl_lightning.derk.backends.simulator.state import MatchState
from pearl_lightning.derk.backends.simulator.terrain import Terrain

_COMPILE_TIMEOUT = 300.0  # seconds to wait for the compilation in another process before compiling here


def _compile(sources: str) -> tuple[Callable[..., None], ...]:
    """Define the loops over arenas; numba caches them on disk.

    Args:
        sources: Digest of the files with the rules. The cache depends only on this file and on the variables that the
            loops close over, so without the digest a changed rule would not be recompiled.
    """

    @numba.njit(parallel=True, cache=True, error_model="numpy")
    def step(
        u, n, shots, shot_targets, weights, events, terrain, settings, tick, action, observation, reward
    ):  # pragma: no cover (compiled)
        compiled_from = sources  # noqa: F841
        for arena in numba.prange(len(u)):
            step_match(
                u[arena], n[arena], shots[arena], shot_targets[arena], weights[arena], events[arena % len(events)],
                terrain, settings, tick, action, observation, reward, arena,
            )  # fmt: skip

    @numba.njit(parallel=True, cache=True, error_model="numpy")
    def sense(u, n, terrain, recorded, observation):  # pragma: no cover (compiled)
        compiled_from = sources  # noqa: F841
        for arena in numba.prange(len(u)):
            sense_match(u[arena], n[arena], terrain, recorded, observation, arena)

    @numba.njit(parallel=True, cache=True, error_model="numpy")
    def face(u, recorded):  # pragma: no cover (compiled)
        compiled_from = sources  # noqa: F841
        for arena in numba.prange(len(u)):
            face_match(u[arena], recorded)

    return step, sense, face


def _digest_of_rules() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cached_loops() -> tuple[Callable[..., None], ...]:
    """Define the loops over arenas with a writable cache folder."""
    sources = _digest_of_rules()
    try:
        return _compile(sources)
    except RuntimeError as error:
        if "no locator available" not in str(error):  # numba's message if no cache folder is writable
            raise
    with temporary_cache():
        return _compile(sources)


_step, _sense, _face = _cached_loops()


class CpuRunner:
    """Runs the rules on CPU tensors.

    Args:
        terrain: Terrain of all matches.
        settings: Settings of all matches.
        threads: Number of threads that share the arenas.

    Raises:
        ValueError: The number of threads is larger than numba allows.
    """

    def __init__(self, terrain: Terrain, settings: Settings, threads: int) -> None:
        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        if not 1 <= threads <= most:
            raise ValueError(f"threads must be from 1 to {most}, the number of cores for numba, got {threads}")
        self.terrain, self.settings, self.threads = terrain, settings, threads

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None:
        """Play the ticks of one step after ``tick``; write observation and reward."""
        self._run(
            _step,
            *state.arrays,
            self.terrain,
            self.settings,
            tick,
            *(t.numpy() for t in (action, observation, reward)),
        )

    def sense(self, state: MatchState, observation: Tensor) -> None:
        """Write the observations of the current state."""
        self._run(_sense, *state.arrays[:2], self.terrain, self.settings.recorded, observation.numpy())

    def face(self, state: MatchState) -> None:
        """Compute the directions from the headings."""
        self._run(_face, state.numbers.numpy(), self.settings.recorded)

    def _run(self, loop: Any, *arguments: Any) -> None:
        torch_threads, before = torch.get_num_threads(), numba.get_num_threads()
        numba.set_num_threads(self.threads)
        is_ready = numba.config.DISABLE_JIT or loop.signatures  # type: ignore[attr-defined]
        try:
            with contextlib.nullcontext() if is_ready else _one_process_at_a_time(Path(loop.stats.cache_path)):
                loop(*arguments)
        finally:
            numba.set_num_threads(before)
            if torch.get_num_threads() != torch_threads:  # numba's start sets OpenMP's number, torch's too
                torch.set_num_threads(torch_threads)


@contextlib.contextmanager
def _one_process_at_a_time(cache: Path) -> Iterator[None]:
    """Let one process compile while the others wait; they then load its result from the cache."""
    lock = FileLock(cache / "compiling.lock")
    try:
        with contextlib.suppress(Timeout, OSError):  # without the lock every process compiles
            lock.acquire(timeout=_COMPILE_TIMEOUT)
        yield
    finally:
        lock.release()
