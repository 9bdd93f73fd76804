"""Forks ``pearl`` processes from one that has imported everything, because an import takes longer than a small run.

A forked process has its own session, working folder, environment, standard streams and signal handlers, runs the
``pearl`` script as its main module and ends as any Python process does. Nothing of the simulator runs before a fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = (
    "pearl_lightning.commands.training",
    "pearl_lightning.envs.point_robot",
    "torch.utils.tensorboard",
    "matplotlib.backends.backend_agg",
    "torchrl.objectives",
)
"""Modules that a small run imports."""
SCRIPT = Path(sys.executable).parent / "pearl"


def parse_tiny() -> None:
    """Parse the tiny run's settings, so that no fork has to. What it needs is imported here, as the server's alone."""
    from parsed_once import install
    from tiny import TINY

    from pearl_lightning.commands.fit_config import read_configs

    install()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "tiny.yaml")
        config.write_text(TINY)
        read_configs([config])


def serve(connection: socket.socket) -> dict[str, Any]:
    """Fork a process per request and send each one's id and, later, its wait status; return the request in a fork.

    A message is a line of JSON. A request carries two file descriptors, standard output and standard error.
    """
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    connection.sendall(b"\n")
    while True:
        ready, _, _ = select.select([connection, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            while (ended := _reap()) is not None:
                _send(connection, ended)
        if connection not in ready:
            continue
        message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not message:  # the tests are over
            sys.exit(0)
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (connection, woken, wake):
                each.close()
            return json.loads(message) | {"streams": streams}
        for stream in streams:
            os.close(stream)
        _send(connection, {"started": pid})


def _reap() -> dict[str, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return {"ended": pid, "status": status} if pid else None


def _send(connection: socket.socket, message: dict[str, int]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def become_pearl(request: dict[str, Any]) -> NoReturn:
    """Run the ``pearl`` script as a new process would."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(request["streams"], start=1):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [str(SCRIPT), *request["arguments"]]
    runpy.run_path(str(SCRIPT), run_name="__main__")
    raise AssertionError("the script ends by SystemExit")


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    parse_tiny()
    gc.collect()
    gc.freeze()  # a collection at the end of a fork would copy every page of what is imported, which takes seconds
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"a fork would lose {len(threads) - 1} threads"
    become_pearl(serve(socket.socket(fileno=int(sys.argv[1]))))
