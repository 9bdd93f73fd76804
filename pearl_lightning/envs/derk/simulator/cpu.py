"""The rules on the CPU: matches side by side, shared out over threads."""

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

from pearl_lightning.envs.derk.simulator.match import face_match, sense_match, step_match
from pearl_lightning.envs.derk.simulator.rules import Settings
from pearl_lightning.envs.derk.simulator.state import MatchState
from pearl_lightning.envs.derk.simulator.terrain import Terrain

_COMPILE_TIMEOUT = 300.0  # seconds within which another process must have compiled, before this one does, too


def _compile(sources: str) -> tuple[Callable[..., None], ...]:
    """The loops over arenas, kept on disk once compiled.

    Args:
        sources: Digest of the rules' files. The cache looks at this file and at what the loops close over only, so
            without it a changed rule would not be compiled anew.
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


_step, _sense, _face = _compile(_digest_of_rules())


class CpuRunner:
    """Runs the rules on CPU tensors.

    Args:
        terrain: What the matches are played on.
        settings: What holds for all of them.
        threads: Threads that share the arenas.

    Raises:
        ValueError: More threads than the machine lets numba start.
    """

    def __init__(self, terrain: Terrain, settings: Settings, threads: int) -> None:
        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        if not 1 <= threads <= most:
            raise ValueError(f"threads must be from 1 to {most}, the cores numba may use, got {threads}")
        self.terrain, self.settings, self.threads = terrain, settings, threads

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None:
        """Play the ticks of a step after ``tick``; writes observation and reward."""
        self._run(
            _step,
            *(t.numpy() for t in (state.numbers, state.counts, state.shots, state.shot_targets)),
            *(t.numpy() for t in (state.weights, state.events)),
            self.terrain,
            self.settings,
            tick,
            *(t.numpy() for t in (action, observation, reward)),
        )

    def sense(self, state: MatchState, observation: Tensor) -> None:
        """Write the observations of the state as it is."""
        numbers, counts = state.numbers.numpy(), state.counts.numpy()
        self._run(_sense, numbers, counts, self.terrain, self.settings.recorded, observation.numpy())

    def face(self, state: MatchState) -> None:
        """Make the directions those of the headings."""
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
            if torch.get_num_threads() != torch_threads:  # numba, starting, sets OpenMP's number: torch's too
                torch.set_num_threads(torch_threads)


@contextlib.contextmanager
def _one_process_at_a_time(cache: Path) -> Iterator[None]:
    """The processes of a run would all compile the same at once: the first does, the others load what it kept."""
    lock = FileLock(cache / "compiling.lock")
    try:
        with contextlib.suppress(Timeout, OSError):  # then each compiles by itself
            lock.acquire(timeout=_COMPILE_TIMEOUT)
        yield
    finally:
        lock.release()
