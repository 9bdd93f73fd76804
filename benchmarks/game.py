"""Steps per second of the real game, with gym-derk alone and with this library: ``python -m benchmarks.game``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.backends.game.browser import devtools_address, start_browser
from pearl_lightning.derk.backends.game.install import find_browser
from pearl_lightning.derk.backends.game.page import GamePage
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, EPISODE_STEPS, SIDES
from pearl_lightning.derk.tasks import DerkTask, LoadoutTasks

with contextlib.redirect_stderr(io.StringIO()):  # gym, which it imports, prints a notice that it is unmaintained
    from gym_derk import DerkAgentServer, DerkSession

BLOCK_STEPS = 5
"""Steps of one timed block. Blocks are short, because the load of the machine changes and neighbours are compared."""
TIMED_STEPS = (EPISODE_STEPS - 1) // BLOCK_STEPS * BLOCK_STEPS
"""Timed steps of an episode: whole blocks, after a first step that is not timed."""
Play = Callable[[int], None]
"""Function that plays one step, given its number since the start."""


def time_steps(label: str, play: Play, first: int, steps: int, timings: dict[str, list[float]]) -> None:
    """Play steps and record the seconds of each.

    Args:
        label: Name of the entry.
        play: Function that plays one step.
        first: Number of the first step.
        steps: Number of steps.
        timings: Seconds of each step by label; the new ones are appended.
    """
    for number in range(first, first + steps):
        start = time.perf_counter()
        play(number)
        timings.setdefault(label, []).append(time.perf_counter() - start)


def interleaved(entries: dict[str, tuple[Play, Callable[[], None]]], steps: int) -> dict[str, list[float]]:
    """Time the steps of all entries in turns, so that all have the same load of the machine; return the seconds.

    Args:
        entries: By label, a function that plays a step and a function that starts an episode.
        steps: Number of steps per entry.
    """
    timings: dict[str, list[float]] = {}
    for first in range(0, steps, BLOCK_STEPS):
        for label, (play, begin) in entries.items():
            if first % TIMED_STEPS == 0:
                begin()
                play(first)  # the first step of a session builds the scene
            time_steps(label, play, first, min(BLOCK_STEPS, steps - first), timings)
    return timings


def median_ratio(reference: list[float], seconds: list[float]) -> float:
    """Speed relative to the reference: the median ratio of neighbouring blocks."""
    blocks = range(0, len(seconds), BLOCK_STEPS)
    return statistics.median(
        sum(reference[first : first + BLOCK_STEPS]) / sum(seconds[first : first + BLOCK_STEPS]) for first in blocks
    )


class BareGame:
    """gym-derk's own server and session in this process, with the flags and the offline page of the backend.

    Args:
        tasks: One task per arena, for its loadouts.
    """

    def __init__(self, tasks: Sequence[DerkTask]) -> None:
        self.tasks = tasks
        self._loop = asyncio.new_event_loop()
        self._folder = Path(tempfile.mkdtemp(prefix="derk-"))
        self._browser: subprocess.Popen[bytes] = start_browser(find_browser(), "llvmpipe", self._folder, pictures=True)
        self._page = GamePage(arenas=len(tasks), turbo=True, substeps=8)
        self._session: DerkSession | None = None
        self._sessions = 0
        self._loop.run_until_complete(self._start())

    def begin(self) -> None:
        """Start an episode in a new session."""
        self._loop.run_until_complete(self._begin())

    def step(self, action: np.ndarray) -> None:
        """Play one step, as ``DerkEnv`` does."""
        self._loop.run_until_complete(self._step(action))

    def close(self) -> None:
        """Stop the browser."""
        self._loop.run_until_complete(_cancel_all())
        self._loop.close()
        self._browser.kill()
        self._browser.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _start(self) -> None:
        self._arrivals: asyncio.Queue[DerkSession] = asyncio.Queue()
        self._server = DerkAgentServer(self._arrived, port=0)
        await self._server.start()
        port = next(iter(self._server.websocket_server.sockets)).getsockname()[1]
        self._address = f"ws://127.0.0.1:{port}"
        await self._page.load(await devtools_address(self._browser, self._folder))

    async def _arrived(self, session: DerkSession) -> None:
        self._arrivals.put_nowait(session)
        await session.websocket.wait_closed()

    async def _begin(self) -> None:
        if self._session is not None:
            await self._session.close()
        home = [{"slots": list(slots)} for task in self.tasks for slots in task.home_loadouts]
        away = [{"slots": list(slots)} for task in self.tasks for slots in task.away_loadouts]
        await self._page.open_session(self._address, home, away)
        self._session = await self._arrivals.get()
        await asyncio.gather(self._page.reset(0), self._session.reset())

    async def _step(self, action: np.ndarray) -> None:
        assert self._session is not None
        await asyncio.gather(self._session.step(action), self._page.step())


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def bare_entry(tasks: Sequence[DerkTask], actions: Tensor) -> Iterator[tuple[Play, Callable[[], None]]]:
    """Entry for gym-derk alone."""
    game = BareGame(tasks)
    rows = actions.numpy()
    try:
        yield lambda number: game.step(rows[number % len(rows)]), game.begin
    finally:
        game.close()


@contextlib.contextmanager
def backend_entry(tasks: Sequence[DerkTask], actions: Tensor) -> Iterator[tuple[Play, Callable[[], None]]]:
    """Entry for ``GameBackend.step``."""
    backend = GameBackend(arenas=len(tasks))

    def play(number: int) -> None:
        backend.step(actions[number % len(actions)])

    def begin() -> None:
        backend.reset(tasks, 0)

    try:
        yield play, begin
    finally:
        backend.close()


@contextlib.contextmanager
def environment_entry(family: LoadoutTasks, arenas: int, actions: Tensor) -> Iterator[tuple[Play, Callable[[], None]]]:
    """Entry for ``DerkEnv.step`` with random opponents."""
    env = DerkEnv(arenas=arenas, tasks=family, backend="game")

    def play(number: int) -> None:
        env.step(TensorDict({"agents": {"action": actions[number % len(actions)][0]}}, batch_size=[arenas]))

    def begin() -> None:
        env.reset()

    try:
        yield play, begin
    finally:
        env.close()


def measure(arenas: int, steps: int) -> dict[str, Any]:
    """Measure the steps per second of every entry, and their ratio to those of gym-derk alone."""
    family = LoadoutTasks(train_tasks=arenas, test_tasks=0)
    tasks = [family[index] for index in range(arenas)]
    actions = ACTION_SPACE.sample((EPISODE_STEPS, SIDES, arenas, AGENTS), torch.Generator().manual_seed(0))
    with (
        bare_entry(tasks, actions) as bare,
        backend_entry(tasks, actions) as backend,
        environment_entry(family, arenas, actions) as environment,
    ):
        timings = interleaved({"bare gym-derk": bare, "GameBackend": backend, "DerkEnv": environment}, steps)
    speeds = {label: 1 / statistics.median(seconds) for label, seconds in timings.items()}
    ratios = {label: median_ratio(timings["bare gym-derk"], seconds) for label, seconds in timings.items()}
    return {"arenas": arenas, "steps": steps, "steps_per_second": speeds, "ratio_to_bare": ratios}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arenas", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="steps per entry")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    figures = measure(options.arenas, options.steps)
    for label, speed in figures["steps_per_second"].items():
        agent_steps = speed * options.arenas * SIDES * AGENTS
        ratio = figures["ratio_to_bare"][label]
        print(f"{label:16} {speed:6.2f} steps/s  {agent_steps:8,.0f} agent steps/s  {ratio:6.1%} of bare")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
