"""A fast, independent simulator of the game, written from ``docs/environments/derk_rules.md`` and measurements.

A tick is scalar Python compiled by numba. Each stage has its own file; ``match.py`` defines their order. The CPU runs
one arena per loop iteration, a GPU runs one arena per thread. ``SimulatorBackend`` is imported on first access, because
it imports numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.derk.backends.simulator.backend import SimulatorBackend as SimulatorBackend

__all__ = ["SimulatorBackend"]


def __getattr__(name: str) -> Any:
    if name == "SimulatorBackend":
        from pearl_lightning.derk.backends.simulator.backend import SimulatorBackend

        return SimulatorBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
