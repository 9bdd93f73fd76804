"""Where a run's time goes: callbacks add up how long their own work takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Owner = TypeVar("Owner", bound="Timed")


class Timed:
    """What adds up the seconds of its ``timed`` methods, in this process.

    They are no part of a checkpointed state that must be equal bit for bit: ``RunSummary`` keeps them across a resume.
    """

    busy_seconds: float = 0.0


def timed(method: Callable[Concatenate[Owner, Parameters], Result]) -> Callable[Concatenate[Owner, Parameters], Result]:
    """A method whose calls count into its owner's ``busy_seconds``, also those that raise."""

    @wraps(method)
    def counted(self: Owner, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        started = time.monotonic()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.busy_seconds += time.monotonic() - started

    return counted
