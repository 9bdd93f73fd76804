"""Child process of a game as the backend sees it: its start, its pipe and its removal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import weakref
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import pearl_lightning
from pearl_lightning.derk.backends.game.browser import log_tail
from pearl_lightning.derk.backends.game.processes import kill_session
from pearl_lightning.derk.backends.game.wire import Array, pack, unpack

_GRACE = 3.0  # seconds that the game's process has to report a fault before it counts as hanging
_LONGEST_PLACE = 40  # bytes of the longest path in which the browser can create its sockets (107 bytes)
_TRANSFER_TIMEOUT = 5  # seconds that the transfer of one message may take


class GameLost(Exception):
    """Raised after a game broke and all its processes were stopped; the message contains the reason."""


class GameChild:
    """A game in a child process. The process leads a session that also contains the browser.

    The session is killed and its folder deleted by ``stop``, by garbage collection of this object, and at interpreter
    exit. If this process dies first, the child notices that its pipe is closed and does the same.

    Args:
        settings: Settings of the game, see ``worker``.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="derk-", dir=_place_of_folders()))
        ours, theirs = socket.socketpair()
        limit = struct.pack("ll", _TRANSFER_TIMEOUT, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # otherwise a stopped child could block a transfer
            ours.setsockopt(socket.SOL_SOCKET, option, limit)
        with theirs, (self.folder / "worker.log").open("wb") as log:
            settings = {**settings, "folder": str(self.folder), "parent": os.getpid()}
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.worker", str(theirs.fileno()), json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pipe = Connection(ours.detach())
        self._end = weakref.finalize(self, _end_game, self._process, self.pipe, self.folder, os.getpid())

    @property
    def pid(self) -> int:
        """Process id of the child, which is also the id of the session that it leads."""
        return self._process.pid

    def send(self, header: dict[str, Any], *arrays: Array) -> None:
        """Send a request.

        Raises:
            GameLost: The child did not receive it.
        """
        try:
            self.pipe.send_bytes(pack(header, *arrays))
        except OSError:
            self._lost(None)

    def receive(self, timeout: float) -> tuple[dict[str, Any], list[Array]]:
        """Receive the answer to a request.

        Args:
            timeout: Time limit in seconds that the child uses for the game.

        Raises:
            GameLost: The game broke or did not answer in time.
        """
        try:
            if not self.pipe.poll(timeout + _GRACE):
                self._lost(f"its process did not answer within {timeout + _GRACE:g} s")
            header, arrays = unpack(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self._lost(None)
        if "broken" in header:
            self._lost(header["broken"])
        return header, arrays

    def stop(self) -> None:
        """Kill all processes of the game and delete its folder; a second call does nothing."""
        self._end()

    def _lost(self, reason: str | None) -> NoReturn:
        names = ["browser.log"] if reason is not None else ["worker.log", "browser.log"]
        logs = [tail for name in names if (tail := log_tail(self.folder, name))]
        if reason is None:  # the child is exiting: wait for its exit status before killing the session
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self.stop()
        if reason is None:  # the child reported no reason
            status = self._process.returncode
            reason = f"its process died ({f'signal {-status}' if status < 0 else f'exit status {status}'})"
        raise GameLost("\n".join([reason, *logs]))


def _place_of_folders() -> str:
    """Parent of the games' folders: the default folder for temporary files, or ``/tmp`` if its path is too long."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_PLACE else "/tmp"


def _environment() -> dict[str, str]:
    """Environment variables that let the child import the same packages as this process."""
    paths = [str(Path(pearl_lightning.__file__).resolve().parent.parent), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONWARNINGS": "ignore"}


def _end_game(process: subprocess.Popen[bytes], pipe: Connection, folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of this object
        return
    kill_session(process.pid)
    process.wait()
    pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
