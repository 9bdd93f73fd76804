"""The processes of one game: its worker leads a session of its own, which everything it starts belongs to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

import psutil

_PR_SET_PDEATHSIG = 1


def session_processes(session: int) -> list[psutil.Process]:
    """Running processes of a session, given by the process id of its leader; zombies are not counted."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def kill_session(session: int, *, spare: int | None = None, patience: float = 5.0) -> bool:
    """Kill every process of a session, stopped ones too.

    Args:
        session: Process id of the session's leader.
        spare: Process to leave alone.
        patience: Seconds to go on looking for survivors.

    Returns:
        Whether none is left.
    """
    deadline = time.monotonic() + patience
    while True:
        members = [process for process in session_processes(session) if process.pid != spare]
        if not members:
            return True
        if time.monotonic() > deadline:
            return False
        for process in members:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(members, timeout=0.2)


def browser_processes(session: int, kind: str) -> list[psutil.Process]:
    """The browser's child processes of a kind: ``renderer`` or ``gpu-process``."""
    found = []
    for process in session_processes(session):
        with contextlib.suppress(psutil.Error):
            if f"--type={kind}" in process.cmdline():
                found.append(process)
    return found


def is_running(process: psutil.Process) -> bool:
    """Whether a process exists and has not died."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_stopped(process: psutil.Process) -> bool:
    """Whether a process exists and was stopped by a signal."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def die_with_parent() -> None:
    """Have the system kill this process when the one that started it dies (Linux); to be called in the child."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
