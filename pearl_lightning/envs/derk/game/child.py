"""The backend's end of a game: the child process, its pipe, and the certainty that it goes away."""

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
from pearl_lightning.envs.derk.game.browser import log_tail
from pearl_lightning.envs.derk.game.processes import kill_session
from pearl_lightning.envs.derk.game.wire import Array, pack, unpack

_GRACE = 3.0  # seconds that the game's process is given to say what broke before it is taken for hanging itself
_LONGEST_PLACE = 40  # bytes of a path below which the browser can still make its sockets (107 bytes)
_TRANSFER_TIMEOUT = 5  # seconds for which a message may stay half sent


class GameLost(Exception):
    """The game is gone, and so is everything that belonged to it; the message says what happened."""


class GameChild:
    """A game in a process of its own, which leads a session that holds the browser, too.

    The session is killed and its folder deleted by ``stop``, when this object is collected, and at interpreter exit.
    When this process dies first, the child sees its pipe close and does the same.

    Args:
        settings: What to start, see ``worker``.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="derk-", dir=_place_of_folders()))
        ours, theirs = socket.socketpair()
        limit = struct.pack("ll", _TRANSFER_TIMEOUT, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # or a stopped child could hold a half-sent message
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
        """Process id of the child and id of the session that it leads."""
        return self._process.pid

    def send(self, header: dict[str, Any], *arrays: Array) -> None:
        """Send a request.

        Raises:
            GameLost: The child does not take it.
        """
        try:
            self.pipe.send_bytes(pack(header, *arrays))
        except OSError:
            self._lost(None)

    def receive(self, timeout: float) -> tuple[dict[str, Any], list[Array]]:
        """The answer to a request.

        Args:
            timeout: Seconds that the child itself allows the game.

        Raises:
            GameLost: The game broke, or there was no answer in time.
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
        """Kill everything that belongs to the game and delete its folder; stopping again does nothing."""
        self._end()

    def _lost(self, reason: str | None) -> NoReturn:
        names = ["browser.log"] if reason is not None else ["worker.log", "browser.log"]
        logs = [tail for name in names if (tail := log_tail(self.folder, name))]
        if reason is None:  # it is ending: its status is to be read before it is killed with all that is its own
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self.stop()
        if reason is None:  # it did not say
            status = self._process.returncode
            reason = f"its process died ({f'signal {-status}' if status < 0 else f'exit status {status}'})"
        raise GameLost("\n".join([reason, *logs]))


def _place_of_folders() -> str:
    """Where games keep their files: the usual place for temporary files, ``/tmp`` if its path is too long."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_PLACE else "/tmp"


def _environment() -> dict[str, str]:
    """Lets the child import the same packages, wherever this process found them."""
    paths = [str(Path(pearl_lightning.__file__).resolve().parent.parent), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONWARNINGS": "ignore"}


def _end_game(process: subprocess.Popen[bytes], pipe: Connection, folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork's copy
        return
    kill_session(process.pid)
    process.wait()
    pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
