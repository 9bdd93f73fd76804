"""Processes of Ray that play arenas: started, asked with a time-out, replaced and ended."""

from __future__ import annotations

import contextlib
import logging
import math
import platform
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv

CLOSE_TIMEOUT = 10.0
"""Seconds within which workers must have closed their worlds, before they are killed."""
CONNECT_TIMEOUT = 10.0
"""Seconds within which a cluster's port must open."""
STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray of this machine alone: what a step sends is far smaller."""


class ArenaWorker:
    """Plays one worker's arenas, in a process of Ray's; tensors travel as arrays."""

    def __init__(self) -> None:
        self._env: MetaEnv | None = None

    @property
    def env(self) -> MetaEnv:
        """The world, once it is made."""
        assert self._env is not None, "start comes first"
        return self._env

    def start(self, make_env: Callable[[], MetaEnv]) -> str:
        """Make the world; returns the machine's name."""
        self._env = make_env()
        return platform.node()

    def begin(self, tasks: list[Any], seed: int) -> np.ndarray:
        """Seed the world and start an episode; returns observations ``[arena, agent, feature]``."""
        self.env.set_seed(seed)
        return self.env.begin(tasks).cpu().numpy()

    def advance(self, action: np.ndarray) -> tuple[dict[str, Any], tuple[dict[str, Any], dict[str, str | int]] | None]:
        """Play a step; returns what ``MetaEnv.advance`` does, and after the last one the statistics and the report."""
        result = self.env.advance(torch.tensor(action, device=self.env.device))
        answer = _as_arrays(result)
        if not (result["terminated"] or result["truncated"]):
            return answer, None
        return answer, (_as_arrays(self.env.episode_statistics()), self.env.report())

    def close(self) -> None:
        """Close the world."""
        self.env.close(raise_if_closed=False)


class RayWorkers:
    """So many workers, each with a world of its own. Nothing here waits without a time-out.

    Args:
        make_env: Makes one worker's world.
        count: Workers.
        address: Of the Ray cluster, as ``ray.init`` takes it; None starts a Ray of this machine alone.
        cpus: That Ray sets aside for a worker.
        gpus: That Ray sets aside for a worker, and shows it.
        start_timeout: Seconds within which workers must have started.
    """

    def __init__(
        self,
        make_env: Callable[[], MetaEnv],
        count: int,
        address: str | None,
        cpus: float,
        gpus: float,
        start_timeout: float,
    ) -> None:
        self.make_env, self._address, self._start_timeout = make_env, address, start_timeout
        self._cpus, self._gpus = cpus, gpus
        self._actors: list[Any] = [None] * count  # None where one is to be started
        self.machines = [""] * count  # where each runs, or ran
        self._connected = False  # by us, so that we disconnect

    def start(self) -> list[int]:
        """Start the workers that are missing; returns their numbers.

        Raises:
            RuntimeError: They do not start, or their world cannot be made there.
            ConnectionError: There is no cluster at the address.
        """
        import ray

        if not ray.is_initialized():
            self._actors = [None] * len(self._actors)
            self._connect()
        missing = [number for number, actor in enumerate(self._actors) if actor is None]
        options: dict[str, Any] = {"num_cpus": self._cpus, "num_gpus": self._gpus, "scheduling_strategy": "SPREAD"}
        try:
            for number in missing:
                self._actors[number] = ray.remote(ArenaWorker).options(**options).remote()
            machines = self._call("start", {number: (self.make_env,) for number in missing}, self._start_timeout)
        except BaseException as error:
            for number in missing:
                self._drop(number)
            if isinstance(error, EpisodeLost):
                needs = f"each takes {self._cpus:g} CPUs and {self._gpus:g} GPUs of the cluster"
                raise RuntimeError(f"not all workers started, of which {needs}: {error}") from error
            raise
        for number, machine in zip(missing, machines, strict=True):
            self.machines[number] = machine
        return missing

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]], timeout: float) -> list[Any]:
        """Call a method of every worker; returns their answers in order.

        Args:
            method: Of ``ArenaWorker``.
            arguments: One tuple per worker.
            timeout: Seconds for all of them together.

        Raises:
            EpisodeLost: A worker lost its episode, died or did not answer in time; the latter two are to be started
                anew.
            RuntimeError: Anything else that a worker raised.
        """
        return self._call(method, dict(enumerate(arguments)), timeout)

    def close(self) -> None:
        """End the workers, and the connection to Ray if it was made here; closing again does nothing."""
        import ray

        if ray.is_initialized():
            running = {number: () for number, actor in enumerate(self._actors) if actor is not None}
            with contextlib.suppress(EpisodeLost, RuntimeError):  # dead ones need no closing
                self._call("close", running, CLOSE_TIMEOUT)
            for number in range(len(self._actors)):
                self._drop(number)
            if self._connected:
                ray.shutdown()
        self._connected = False

    def _connect(self) -> None:
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with _kept_sigterm_handler():
            if self._address is not None:
                _check_that_it_is_there(self._address)
                ray.init(address=self._address, **quiet)
            else:
                cpus = math.ceil(self._cpus * len(self._actors))
                with _on_loopback():
                    ray.init(
                        address="local",
                        num_cpus=cpus,
                        include_dashboard=False,
                        object_store_memory=STORE_BYTES,
                        _system_config={"worker_niceness": 0},  # else they starve beside a busy process
                        **quiet,
                    )
        self._connected = True

    def _call(self, method: str, arguments: dict[int, tuple[Any, ...]], timeout: float) -> list[Any]:
        """Call a method of some workers, by number, and wait for all of them, whatever happens to one."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        if not ray.is_initialized():
            raise EpisodeLost("the connection to Ray was closed")
        deadline = time.monotonic() + timeout
        try:
            references = {
                number: getattr(self._actors[number], method).remote(*given) for number, given in arguments.items()
            }
        except ConnectionError as error:  # only of ray://
            raise EpisodeLost("the connection to Ray broke") from error
        answers: list[Any] = []
        losses: list[str] = []
        fault: RuntimeError | None = None
        for number, reference in references.items():
            name = f"worker {number}" + (f" on {self.machines[number]}" if self.machines[number] else "")
            try:
                answers.append(ray.get(reference, timeout=max(deadline - time.monotonic(), 0.01)))
            except GetTimeoutError:
                losses.append(f"{name} did not answer within {timeout:g} s")
                self._drop(number)
            except RayTaskError as error:
                if isinstance(error.cause, EpisodeLost):
                    losses.append(f"{name}: {error.cause}")
                else:
                    fault = RuntimeError(f"{name}: {type(error.cause).__name__}: {error.cause}")
                    fault.__cause__ = error  # its text is the worker's traceback
            except (RayError, ConnectionError):
                losses.append(f"{name} died")
                self._drop(number)
        if fault is not None:
            raise fault
        if losses:
            raise EpisodeLost("; ".join(losses))
        return answers

    def _drop(self, number: int) -> None:
        """Kill a worker, whatever it is doing."""
        import ray

        actor, self._actors[number] = self._actors[number], None
        if actor is not None and ray.is_initialized():
            with contextlib.suppress(Exception):  # it is dead already, or the cluster is
                ray.kill(actor, no_restart=True)


def _check_that_it_is_there(address: str) -> None:
    """Ray would try for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():  # auto has none
        try:
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
        except OSError as error:
            raise ConnectionError(f"address must be that of a running Ray cluster, got {address}: {error}") from error


@contextlib.contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """Ray takes SIGTERM for itself as it connects; a run that is told to stop saves first."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Servers that Ray starts bind to 127.0.0.1 alone, as on macOS; on Linux its options know no way to it."""
    from ray._private import ray_constants

    usual, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual


def _as_arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value.cpu().numpy() if isinstance(value, Tensor) else value for name, value in tensors.items()}
