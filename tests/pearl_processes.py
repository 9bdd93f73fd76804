"""``pearl`` as a process of its own: a new Python, or a fork of one that has imported everything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pearl_fork

PROBES = Path(__file__).parent / "cli"
"""Folder of the callbacks that tests name in configs."""
IMPORT_TIMEOUT = 120.0


def without_coverage() -> dict[str, str]:
    """This process's environment for one whose lines are not counted, which would take up to twice as long."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def environment() -> dict[str, str]:
    """That of ``pearl``, with the probes of tests importable."""
    return without_coverage() | {"PYTHONPATH": str(PROBES)}


class ForkServer:
    """The process that forks; started by the first ``Pearl`` of a session."""

    def __init__(self) -> None:
        self.connection, other = socket.socketpair()
        self.connection.settimeout(IMPORT_TIMEOUT)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, pearl_fork.__file__, str(other.fileno())],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        self.received = b""
        self.statuses: dict[int, int] = {}
        assert self.connection.recv(1) == b"\n", "the fork server did not start"

    def fork(self, arguments: list[str], cwd: Path, stdout: int, stderr: int) -> int:
        """Process id of a new ``pearl``."""
        request = {"arguments": arguments, "cwd": str(cwd), "environment": environment()}
        socket.send_fds(self.connection, [json.dumps(request).encode()], [stdout, stderr])
        while (message := self._next(IMPORT_TIMEOUT)) and "started" not in message:
            self._note(message)
        return message["started"]

    def status(self, pid: int) -> int | None:
        """Exit status of a process as ``subprocess`` counts it; None while it runs."""
        while pid not in self.statuses and (message := self._next(0)):
            self._note(message)
        return self.statuses.get(pid)

    def close(self) -> None:
        self.connection.close()
        self.process.wait(20)

    def _note(self, message: dict[str, int]) -> None:
        self.statuses[message["ended"]] = os.waitstatus_to_exitcode(message["status"])

    def _next(self, seconds: float) -> dict[str, int] | None:
        """The next message, if one comes in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.received:
            self.connection.settimeout(max(deadline - time.monotonic(), 0))
            try:
                part = self.connection.recv(1 << 16)
            except (BlockingIOError, TimeoutError):
                return None
            assert part, "the fork server died"
            self.received += part
        line, _, self.received = self.received.partition(b"\n")
        message: dict[str, int] = json.loads(line)
        return message


class Forked:
    """A forked process, with what tests use of ``subprocess.Popen``."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.server, self.pid = server, pid

    @property
    def returncode(self) -> int | None:
        return self.server.status(self.pid)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("pearl", timeout)
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Pearl:
    """``pearl`` in a process group of its own; the probes of tests can be named in its config.

    Args:
        arguments: The command line after ``pearl``.
        cwd: Working folder; this process's by default.
        server: Forks the process. None starts a new Python.
    """

    def __init__(self, *arguments: str | Path, cwd: Path | None = None, server: ForkServer | None = None) -> None:
        given, folder = [str(argument) for argument in arguments], cwd or Path.cwd()
        self.output, self.errors = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115
        if server is None:
            self.process: Any = subprocess.Popen(
                [str(pearl_fork.SCRIPT), *given],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.errors,
                start_new_session=True,
            )
        else:
            pid = server.fork(given, folder, self.output.fileno(), self.errors.fileno())
            self.process = Forked(server, pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def finish(self, seconds: float = 200) -> tuple[int, str, str]:
        """Exit status, output and errors; nothing of the group is left."""
        try:
            self.process.wait(seconds)
        finally:
            self.__exit__()
        printed = []
        for file in (self.output, self.errors):
            with file:
                file.seek(0)
                printed.append(file.read())
        return self.process.returncode, printed[0], printed[1]

    def first_line(self, seconds: float = 200) -> str:
        """First line of the output, once it is printed."""
        deadline = time.monotonic() + seconds
        while b"\n" not in (printed := os.pread(self.output.fileno(), 1 << 16, 0)):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"no line of output: {self.finish(0)}")
            time.sleep(0.02)
        return printed.decode().splitlines()[0]

    def wait_for_rows(self, metrics: Path, rows: int, seconds: float = 200) -> None:
        """Until so many rows of ``metrics.csv`` are written."""
        deadline = time.monotonic() + seconds
        while not metrics.is_file() or len(metrics.read_text().splitlines()) <= rows:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"no {rows} rows in {metrics}: {self.finish(0)}")
            time.sleep(0.02)
