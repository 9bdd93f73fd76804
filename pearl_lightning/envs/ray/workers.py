"""Ray processes that play arenas: start, calls with a time limit, replacement and stop."""

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
"""Time limit in seconds for workers to close their environments before they are killed."""
CONNECT_TIMEOUT = 10.0
"""Time limit in seconds for a connection to the port of a cluster."""
STORE_BYTES = 100 * 2**20
"""Shared memory of a local Ray instance; the data of a step is far smaller."""


class ArenaWorker:
    """Plays the arenas of one worker in a Ray process; tensors are sent as arrays."""

    def __init__(self) -> None:
        self._env: MetaEnv | None = None
        self._steps = 0  # of the running episode
        self._last: tuple[dict[str, Any], tuple[dict[str, Any], dict[str, str | int]]] | None = None

    @property
    def env(self) -> MetaEnv:
        """The environment; ``start`` must be called first."""
        assert self._env is not None, "start comes first"
        return self._env

    def start(self, make_env: Callable[[], MetaEnv]) -> str:
        """Create the environment; return the name of the machine."""
        self._env = make_env()
        return platform.node()

    def prepare(self) -> float:
        """Prepare the environment; return the seconds this took."""
        return self.env.prepare()

    def begin(self, tasks: list[Any], seed: int) -> np.ndarray:
        """Seed the environment and start an episode; return observations ``[arena, agent, feature]``."""
        self.env.set_seed(seed)
        self._steps, self._last = 0, None
        self.env.ended = torch.zeros(self.env.arenas, dtype=torch.bool, device=self.env.device)
        return self.env.begin(tasks).cpu().numpy()

    def advance(self, action: np.ndarray) -> tuple[dict[str, Any], tuple[dict[str, Any], dict[str, str | int]] | None]:
        """Play a step; return the result of ``MetaEnv.advance`` and, after the last step, statistics and report.

        ``terminated`` and ``truncated`` are arrays ``[arena]``. After the last step of this worker's arenas, the same
        is returned again, while the arenas of other workers play on.
        """
        if self._last is not None:
            return self._last
        env, self._steps = self.env, self._steps + 1
        result = dict(env.advance(torch.tensor(action, device=env.device)))
        for name in ("terminated", "truncated"):
            given = torch.as_tensor(result[name], dtype=torch.bool, device=env.device)
            result[name] = given.expand(env.arenas)
        env.ended = env.ended | torch.as_tensor(result["terminated"]) | torch.as_tensor(result["truncated"])
        answer = _as_arrays(result)
        if self._steps < env.horizon and not bool(env.ended.all()):
            return answer, None
        self._last = answer, (_as_arrays(env.episode_statistics()), env.report())
        return self._last

    def close(self) -> None:
        """Close the environment."""
        self.env.close(raise_if_closed=False)


class RayWorkers:
    """A group of workers, each with its own environment. All calls have a time limit.

    Args:
        make_env: Function that creates the environment of one worker.
        count: Number of workers.
        address: Address of the Ray cluster for ``ray.init``; None starts a local Ray instance.
        cpus: Number of CPUs that Ray reserves for a worker.
        gpus: Number of GPUs that Ray reserves for a worker and makes visible to it.
        start_timeout: Time limit in seconds for the start of the workers.
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
        self._actors: list[Any] = [None] * count  # None if the worker must be started
        self.machines = [""] * count  # machine of each worker, also after its end
        self._connected = False  # whether this object opened the connection and must close it

    def start(self) -> list[int]:
        """Start the missing workers; return their numbers.

        Raises:
            RuntimeError: The workers do not start or cannot create their environment.
            ConnectionError: No cluster is running at the address.
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
                needs = f"each needs {self._cpus:g} CPUs and {self._gpus:g} GPUs of the cluster"
                raise RuntimeError(f"not all workers started; {needs}: {error}") from error
            raise
        for number, machine in zip(missing, machines, strict=True):
            self.machines[number] = machine
        return missing

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]], timeout: float) -> list[Any]:
        """Call a method of every worker; return their answers in order.

        Args:
            method: Name of a method of ``ArenaWorker``.
            arguments: One tuple of arguments per worker.
            timeout: Time limit in seconds for all workers together.

        Raises:
            EpisodeLost: A worker lost its episode, died or did not answer in time. In the last two cases ``start`` must
                be called again.
            RuntimeError: A worker raised another error.
        """
        return self._call(method, dict(enumerate(arguments)), timeout)

    def close(self) -> None:
        """Stop the workers, and the connection to Ray if it was opened here; a second call does nothing."""
        import ray

        if ray.is_initialized():
            running = {number: () for number, actor in enumerate(self._actors) if actor is not None}
            with contextlib.suppress(EpisodeLost, RuntimeError):  # dead workers need no closing
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
                        _system_config={"worker_niceness": 0},  # otherwise they starve next to a busy process
                        **quiet,
                    )
        self._connected = True

    def _call(self, method: str, arguments: dict[int, tuple[Any, ...]], timeout: float) -> list[Any]:
        """Call a method of some workers, by number, and wait for all of them, even if one fails."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        if not ray.is_initialized():
            raise EpisodeLost("the connection to Ray was closed")
        deadline = time.monotonic() + timeout
        try:
            references = {
                number: getattr(self._actors[number], method).remote(*given) for number, given in arguments.items()
            }
        except ConnectionError as error:  # only with ray://
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
                    fault.__cause__ = error  # its text contains the worker's traceback
            except (RayError, ConnectionError):
                losses.append(f"{name} died")
                self._drop(number)
        if fault is not None:
            raise fault
        if losses:
            raise EpisodeLost("; ".join(losses))
        return answers

    def _drop(self, number: int) -> None:
        """Kill a worker."""
        import ray

        actor, self._actors[number] = self._actors[number], None
        if actor is not None and ray.is_initialized():
            with contextlib.suppress(Exception):  # the worker or the cluster may already be dead
                ray.kill(actor, no_restart=True)


def _check_that_it_is_there(address: str) -> None:
    """Raise an error if no cluster answers at the address; Ray itself would try for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():  # auto has none
        try:
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
        except OSError as error:
            raise ConnectionError(
                f"address must be the address of a running Ray cluster, got {address}: {error}"
            ) from error


@contextlib.contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces when it connects. A run saves a checkpoint on SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Make Ray's servers bind only to 127.0.0.1, as on macOS; on Linux Ray has no option for this."""
    from ray._private import ray_constants

    usual, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual


def _as_arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value.cpu().numpy() if isinstance(value, Tensor) else value for name, value in tensors.items()}
