"""Delays Ctrl-C until a call has ended that must not be left half done."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def ended_before_ctrl_c(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function end before Ctrl-C takes effect in it. A second Ctrl-C during the call takes effect at once.

    A queue whose lock is not released, or which has counted an entry that it does not announce, is waited for without
    end. In threads other than the main one, which Ctrl-C does not interrupt, nothing changes.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            return function(*args, **kwargs)
        pressed: list[tuple[int, FrameType | None]] = []

        def note(number: int, frame: FrameType | None) -> None:
            pressed.append((number, frame))
            if len(pressed) > 1:
                handler(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            return function(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, handler)
            if len(pressed) == 1:
                handler(*pressed[0])

    return call
