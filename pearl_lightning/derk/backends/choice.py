"""The choice of a backend by name: its options, and what is known of it before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pearl_lightning.derk.backends.backend import DerkBackend
from pearl_lightning.derk.interface import EPISODE_TICKS, TICKS_PER_STEP


@dataclass(frozen=True, kw_only=True)
class BackendChoice:
    """A backend object, or the name and options of a backend that is created when it is needed.

    Args:
        name: Name of the backend; None if it is an object.
        options: Further arguments of a backend given by name.
        given: The backend object; None if the backend is given by name.
    """

    name: str | None
    options: Mapping[str, Any]
    given: DerkBackend | None

    @classmethod
    def checked(
        cls, backend: str | DerkBackend, options: Mapping[str, Any], arenas: int, count_events: bool
    ) -> BackendChoice:
        """Check the arguments of an environment and return its choice.

        Raises:
            ValueError: The backend is unknown or has another number of arenas, it does not count events, its options
                are given beside an object, or its device is not available.
        """
        if isinstance(backend, str):
            if backend not in BACKENDS:
                raise ValueError(f"backend must be one of {', '.join(BACKENDS)} or a backend object, got {backend!r}")
        elif options:
            raise ValueError(f"backend_options must be empty if backend is an object, got {dict(options)}")
        elif backend.arenas != arenas:
            raise ValueError(f"arenas must be {backend.arenas}, the number of arenas of the backend, got {arenas}")
        if count_events and backend != "simulator":
            raise ValueError(f"count_events must be false if backend is not 'simulator', got backend {backend!r}")
        if count_events:
            options = {**options, "bounty_events": True}
        choice = cls(
            name=backend if isinstance(backend, str) else None,
            options=options,
            given=None if isinstance(backend, str) else backend,
        )
        if choice.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device must be cpu because torch finds no CUDA GPU, got {str(choice.device)!r}")
        return choice

    @property
    def device(self) -> torch.device:
        """Device of observations, rewards and actions."""
        return torch.device(self.options.get("device", "cpu")) if self.given is None else self.given.device

    @property
    def episode_steps(self) -> int:
        """Number of steps in an episode."""
        if self.given is not None:
            return self.given.episode_steps
        return math.ceil(
            self.options.get("episode_ticks", EPISODE_TICKS) / self.options.get("substeps", TICKS_PER_STEP)
        )

    def make(self, arenas: int) -> DerkBackend:
        """Create the backend.

        Raises:
            RuntimeError: The backend is an object, which has been closed.
        """
        if self.name is None:
            raise RuntimeError("the environment and its backend object are closed: create new ones")
        return make_backend(self.name, arenas, self.options)


def make_backend(name: str, arenas: int, options: Mapping[str, Any] | None = None) -> DerkBackend:
    """Create a backend by name, ``simulator`` or ``game``. The game itself starts at the first reset.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    return BACKENDS[name](arenas, dict(options or {}))


def _game(arenas: int, options: dict[str, Any]) -> DerkBackend:
    from pearl_lightning.derk.backends.game import GameBackend  # its dependencies are optional

    return GameBackend(arenas=arenas, **options)


def _simulator(arenas: int, options: dict[str, Any]) -> DerkBackend:
    from pearl_lightning.derk.backends.simulator import SimulatorBackend  # imports compiled rules

    return SimulatorBackend(arenas=arenas, **options)


BACKENDS = {"simulator": _simulator, "game": _game}
