"""The process of one worker of ``ArenaWorkers``. This module does not import torch, so that workers start fast."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from pearl_lightning.envs.gymnasium_arenas import Arenas
from pearl_lightning.envs.gymnasium_tasks import ArenaError

_WATCH_SECONDS = 1.0


def main(connection_number: int, parent: int) -> None:
    """Play arenas as the parent process asks, until it closes the connection or ends.

    Args:
        connection_number: File descriptor of the connection to the parent.
        parent: Id of the parent process.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # they go to all processes of a run; the parent decides
        signal.signal(number, lambda *_: None)
    arenas: Arenas | None = None
    with Connection(connection_number) as connection:
        try:
            while (request := connection.recv_bytes()) != b"close":
                try:
                    method, arguments = pickle.loads(request)
                    if method == "make":
                        arenas = Arenas(*arguments)
                        answer: tuple[Any, ...] = ("answer", None)
                    else:
                        answer = ("answer", getattr(arenas, method)(*arguments))
                except Exception as error:
                    answer = ("error", _message(error), traceback.format_exc())
                connection.send(answer)
        except (EOFError, ConnectionError):
            pass  # the parent is gone
        if arenas is not None:
            arenas.close()


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, ArenaError) else f"{type(error).__name__}: {error}"


def _end_with(parent: int) -> None:
    """End this process after its parent, even if an environment hangs."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
