"""ArenaWorkers: arenas of a Gymnasium environment in several processes of this machine.

Gymnasium's ``AsyncVectorEnv`` starts a process for every arena, waits without a time limit for a worker that has died
or stopped, and does not name it. These workers hold several arenas each, and every wait has a limit.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from pearl_lightning.envs.gymnasium_tasks import ArenaError, MakeEnv, TaskBy
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.envs.spaces import Array

START_SECONDS = 60.0
"""Least time limit for the start of the workers, which import the environment."""
CLOSE_SECONDS = 5.0
"""Time limit for workers to close their environments before they are killed."""
MAX_LOSSES_IN_A_ROW = 10
"""Lost episodes without another one between them, after which no worker is started again."""
_CODE = "import sys; sys.path[:] = {path!r}; from pearl_lightning.envs.gymnasium_process import main; main({args})"


class WorkerTraceback(Exception):
    """Contains the traceback of an error in a worker; the cause of the error that is raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(f"\n{text}")


class ArenaWorkers:
    """Processes that each play a share of the arenas, like ``Arenas`` in this process.

    They start at the first episode. A worker that dies or does not answer in time loses the episode, and the next
    episode starts another one. All workers end with this process.

    Args:
        make: Makes one environment, given keyword arguments.
        task_by: How a task reaches it (see ``GymnasiumEnv``).
        task: First task of all arenas.
        arenas: Number of arenas.
        workers: Number of processes, in [1, arenas].
        timeout: Time limit in seconds for each answer; for the start it is at least ``START_SECONDS``.

    Raises:
        ValueError: The environment cannot be sent to other processes.
    """

    def __init__(self, make: MakeEnv, task_by: TaskBy, task: Any, *, arenas: int, workers: int, timeout: float) -> None:
        numbers = np.array_split(np.arange(arenas), workers)
        self.shares = [range(int(each[0]), int(each[-1]) + 1) for each in numbers]
        """Numbers of the arenas of each worker."""
        self.timeout, self.restarts = timeout, 0
        self._workers: list[_Worker | None] = [None] * workers
        self._losses_in_a_row, self._is_lost = 0, False
        try:
            self._made = [cloudpickle.dumps(("make", (make, task_by, task, share))) for share in self.shares]
        except Exception as error:
            raise ValueError(
                f"vectorization must be sync for an environment that cannot be sent to workers: {error}"
            ) from error

    def start(self) -> None:
        """Start the missing workers.

        Raises:
            RuntimeError: A worker does not start, or cannot make its environments.
        """
        missing = [number for number, worker in enumerate(self._workers) if worker is None]
        self.restarts += len(missing) if self._is_lost else 0
        for number in missing:
            self._workers[number] = _Worker(self.timeout)
        try:
            self._call({number: self._made[number] for number in missing}, max(self.timeout, START_SECONDS))
        except BaseException as error:
            for number in missing:
                self._drop(number)
            if isinstance(error, EpisodeLost):
                raise RuntimeError(f"a worker of the environment does not start: {error}") from error
            raise

    def begin(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Array:
        """Start an episode with one task and one seed per arena; return features ``[arena, feature]``.

        Raises:
            EpisodeLost: A worker died or did not answer in time.
            RuntimeError: Too many episodes in a row were lost, or a worker does not start.
        """
        self._losses_in_a_row = self._losses_in_a_row if self._is_lost else 0
        if self._losses_in_a_row >= MAX_LOSSES_IN_A_ROW:
            raise RuntimeError(f"{self._losses_in_a_row} episodes in a row were lost: check the environment's messages")
        self.start()
        self._is_lost = False
        parts = [(tasks[share.start : share.stop], seeds[share.start : share.stop]) for share in self.shares]
        features: Array = np.concatenate(self._ask("begin", parts))
        return features

    def advance(self, rows: Array) -> dict[str, NDArray[Any]]:
        """Play one step with action rows ``[arena, width]``, as ``Arenas.advance``.

        Raises:
            EpisodeLost: A worker died or did not answer in time.
            RuntimeError: No episode is running.
        """
        results = self._ask("advance", [(rows[share.start : share.stop],) for share in self.shares])
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    def picture(self) -> NDArray[np.uint8]:
        """Draw the first arena, as RGB values ``[row, column, 3]``."""
        picture: NDArray[np.uint8] = self._ask("picture", [()])[0]
        return picture

    def report(self) -> dict[str, str | int]:
        """Number of workers, and how many were started again."""
        return {"workers": len(self._workers), "restarts": self.restarts}

    def close(self) -> None:
        """End the workers; a second call does nothing. The next episode starts them again."""
        running = [worker for worker in self._workers if worker is not None]
        self._workers = [None] * len(self._workers)
        self._is_lost = False
        for worker in running:
            worker.ask_to_close()
        deadline = time.monotonic() + CLOSE_SECONDS
        for worker in running:
            worker.kill(deadline - time.monotonic())

    def _ask(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method of the first workers, with a tuple of arguments for each of them."""
        if self._is_lost or any(worker is None for worker in self._workers):
            raise RuntimeError("no episode is running: reset the environment first")
        requests = {number: pickle.dumps((method, given)) for number, given in enumerate(arguments)}
        try:
            return self._call(requests, self.timeout)
        except EpisodeLost as error:
            raise EpisodeLost(f"the episode is lost: {error}") from error

    def _call(self, requests: Mapping[int, bytes], seconds: float) -> list[Any]:
        """Send requests to workers, by number, and return their answers in the same order.

        All answers are read even if one worker fails, so that none is left for the next call.
        """
        deadline = time.monotonic() + seconds
        losses: dict[int, str] = {}
        answers: dict[int, tuple[Any, ...]] = {}
        try:
            for number, request in requests.items():
                self._running(number).send(request)
            for number in requests:
                try:
                    answers[number] = self._running(number).answer(deadline)
                except _Broken as error:
                    losses[number] = str(error) or f"did not answer within {seconds:g} s"
                    self._drop(number)
        except BaseException:  # such as Ctrl-C: those who have not answered are out of step
            for number in requests.keys() - answers.keys():
                self._drop(number)
            raise
        if failed := [number for number, answer in answers.items() if answer[0] == "error"]:
            _, message, text = answers[failed[0]]
            raise ArenaError(message) from WorkerTraceback(text)
        if losses:
            self._losses_in_a_row, self._is_lost = self._losses_in_a_row + 1, True
            named = "; ".join(f"{self._name(number)} {what}" for number, what in losses.items())
            raise EpisodeLost(named)
        return [answer[1] for answer in answers.values()]

    def _name(self, number: int) -> str:
        share = self.shares[number]
        arenas = f"arena {share[0]}" if len(share) == 1 else f"arenas {share[0]} to {share[-1]}"
        return f"worker {number} ({arenas})"

    def _running(self, number: int) -> _Worker:
        worker = self._workers[number]
        assert worker is not None, "start comes first"
        return worker

    def _drop(self, number: int) -> None:
        worker, self._workers[number] = self._workers[number], None
        if worker is not None:
            worker.kill(0.0)


class _Broken(Exception):
    """Raised if a worker has ended, with a message about the cause, or does not answer, without a message."""


class _Worker:
    """One process, and the connection to it.

    The process is a new Python without the caller's main module, so that a script needs no ``__main__`` guard.
    """

    def __init__(self, timeout: float) -> None:
        self.connection, other = Pipe()
        _limit_waits(self.connection, timeout)
        code = _CODE.format(path=sys.path, args=f"{other.fileno()}, {os.getpid()}")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=[other.fileno()]
        )
        other.close()

    def send(self, request: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended or is stopped: there will be no answer
            self.connection.send_bytes(request)

    def answer(self, deadline: float) -> tuple[Any, ...]:
        """Wait for the answer to a request.

        Raises:
            _Broken: The process has ended, or does not answer before the deadline.
        """
        try:
            if self.connection.poll(max(deadline - time.monotonic(), 0.0)):
                answer: tuple[Any, ...] = self.connection.recv()
                return answer
        except BlockingIOError:  # it stopped in the middle of an answer
            pass
        except (EOFError, OSError):
            raise _Broken(self._end()) from None
        raise _Broken

    def ask_to_close(self) -> None:
        self.send(b"close")

    def kill(self, grace: float) -> None:
        """End the process, by force if it does not end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(grace, 0.0))
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_SECONDS)
        self.connection.close()

    def _end(self) -> str:
        """How the process ended, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(CLOSE_SECONDS)
            return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        return "closed its connection"


def _limit_waits(connection: Connection, seconds: float) -> None:
    """Set a time limit for the reads and writes of a connection: a stopped process may leave them half done."""
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    with socket.socket(fileno=os.dup(connection.fileno())) as shared:  # both have its options
        shared.setblocking(True)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
