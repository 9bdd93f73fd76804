"""The processes of one game. Its worker leads a session that contains all processes it starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

import psutil

_PR_SET_PDEATHSIG = 1


def session_processes(session: int) -> list[psutil.Process]:
    """Running processes of a session, given by its leader's process id; zombies are excluded."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def kill_session(session: int, *, spare: int | None = None, patience: float = 5.0) -> bool:
    """Kill all processes of a session, including stopped ones.

    Args:
        session: Process id of the session's leader.
        spare: Id of a process that is not killed.
        patience: Time limit in seconds.

    Returns:
        Whether all processes are gone.
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
    """Child processes of the browser of one kind: ``renderer`` or ``gpu-process``."""
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
    """Make the system kill this process when its parent dies (Linux). Must be called in the child."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
