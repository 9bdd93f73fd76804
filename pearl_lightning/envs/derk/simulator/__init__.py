"""The game's rules at full speed: an independent simulator, written from ``docs/derk_rules.md`` and measurements.

A tick is scalar Python compiled by numba, one file per stage, in the order of ``match.py``; the CPU runs one arena per
loop iteration, a GPU one per thread. ``SimulatorBackend`` is imported when it is first asked for: it brings numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.envs.derk.simulator.backend import SimulatorBackend as SimulatorBackend

__all__ = ["SimulatorBackend"]


def __getattr__(name: str) -> Any:
    if name == "SimulatorBackend":
        from pearl_lightning.envs.derk.simulator.backend import SimulatorBackend

        return SimulatorBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
