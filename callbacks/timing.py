"""Measurement of the time that callbacks spend."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pytorch_lightning import Trainer

from pearl_lightning.experience.data import env_data

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Owner = TypeVar("Owner")
Method = Callable[Concatenate[Owner, Trainer, Parameters], Result]


def timed(part: str) -> Callable[[Method[Owner, Parameters, Result]], Method[Owner, Parameters, Result]]:
    """Add the duration of each call of a callback's method to ``Progress.seconds``, even if it raises an error.

    Args:
        part: Part of the run's time, such as ``collection``.
    """

    def decorate(method: Method[Owner, Parameters, Result]) -> Method[Owner, Parameters, Result]:
        @wraps(method)
        def counted(self: Owner, trainer: Trainer, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            started = time.monotonic()
            try:
                return method(self, trainer, *args, **kwargs)
            finally:
                seconds = env_data(trainer).progress.seconds
                seconds[part] = seconds.get(part, 0.0) + time.monotonic() - started

        return counted

    return decorate
