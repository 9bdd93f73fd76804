"""Compilation of the simulator: progress on the screen, and a temporary cache if no default folder is writable."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numba
import torch

from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, OBSERVATION_FEATURES, SIDES

if TYPE_CHECKING:
    from pearl_lightning.derk.backends.simulator.backend import Runner
    from pearl_lightning.derk.backends.simulator.state import MatchState

PATIENCE = 5.0
"""Seconds before anything is shown. Loading compiled code takes less time, even if other processes use the cores."""
LINE_EVERY = 30.0
"""Seconds between two lines about the same loop if stderr is not a terminal."""


class CompilationNotice:
    """Shows on stderr which loop is being compiled, the number of loops, and the seconds since the start.

    On a terminal a single line is updated. In a file or a pipe there is one line per loop, and one every
    ``LINE_EVERY`` seconds. Nothing is shown within the first ``PATIENCE`` seconds.

    Attributes:
        seconds: Duration of the compilation; 0 if it took less than ``PATIENCE``.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._part = ""
        self._is_shown = False
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._show, name="compilation notice", daemon=True)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def begin(self, part: str) -> None:
        """Set the name of the loop that is compiled next."""
        self._part = part

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_done.set()
        self._thread.join()
        if self._is_shown:
            self.seconds = time.monotonic() - self._started
            end = "compiled the simulator in" if error is None else "compilation of the simulator stopped after"
            _write(f"{end} {self.seconds:.0f} s", is_last=True)

    def _show(self) -> None:
        wait, written, due = PATIENCE, "", 0.0
        while not self._is_done.wait(wait):
            wait = min(1.0, PATIENCE)
            part, seconds = self._part, time.monotonic() - self._started
            if not part:  # a busy machine may not have begun the first loop yet
                continue
            self._is_shown = True
            if sys.stderr.isatty() or part != written or seconds >= due:
                written, due = part, seconds + LINE_EVERY
                _write(f"compiling the simulator, once per installation: {part}, {seconds:.0f} s")


def compile_loops(runner: Runner, match: MatchState) -> float:
    """Compile or load all loops by playing one step of a match; return the seconds of ``CompilationNotice``.

    Args:
        runner: Runner that has the loops.
        match: State of one arena at the start of a match.
    """
    observation, action, reward = (
        torch.zeros(SIDES, 1, *shape, device=match.numbers.device)
        for shape in ((AGENTS, OBSERVATION_FEATURES), (AGENTS, ACTION_SPACE.width), (AGENTS,))
    )
    loops: dict[str, Callable[[], None]] = {
        "face": lambda: runner.face(match),
        "sense": lambda: runner.sense(match, observation),
        "step": lambda: runner.step(match, 0, action, observation, reward),
    }
    with CompilationNotice() as notice:
        for number, (name, loop) in enumerate(loops.items(), start=1):
            notice.begin(f"{name} ({number} of {len(loops)})")
            loop()
    return notice.seconds


def _write(text: str, is_last: bool = False) -> None:
    """Write a line; on a terminal it replaces the previous line."""
    if sys.stderr.isatty():
        text, end = f"\r\x1b[K{text}", "\n" if is_last else ""
    else:
        end = "\n"
    print(text, end=end, file=sys.stderr, flush=True)


@contextmanager
def temporary_cache() -> Iterator[None]:
    """Make numba cache the functions that are decorated in this context in a temporary folder.

    This is needed if numba's default cache folders are not writable.

    Raises:
        RuntimeError: No temporary folder is writable either.
    """
    try:
        folder = _own_temporary_folder()
        if not any(folder.iterdir()):
            note = "neither the package's folder nor a cache folder in the home directory is writable"
            print(
                f"pearl: {note}: the compiled simulator is stored in {folder}; set NUMBA_CACHE_DIR to change this",
                file=sys.stderr,
            )
    except OSError as error:
        raise RuntimeError(
            "the simulator has no folder for its compiled code: set NUMBA_CACHE_DIR to a writable folder"
        ) from error
    usual = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.config.CACHE_DIR = usual  # type: ignore[attr-defined]


def _own_temporary_folder() -> Path:
    """Temporary folder that only this user can write to, because numba unpickles from it; shared by all processes."""
    folder = Path(tempfile.gettempdir()) / f"pearl-lightning-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="pearl-lightning-"))
