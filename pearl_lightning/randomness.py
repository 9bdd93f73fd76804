"""Random generators, one per consumer, derived from the seed of the run."""

from __future__ import annotations

import hashlib
import warnings

import torch


def make_generator(consumer: str, rank: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Create a separate generator for ``consumer`` on process ``rank``; ``seed_everything`` fixes its seed."""
    digest = hashlib.sha256(f"{torch.initial_seed()}/{consumer}/{rank}".encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "big"))


def restore_generator(generator: torch.Generator, state: torch.Tensor, consumer: str) -> None:
    """Restore the state of a generator; keep its state and warn if it was saved on another type of device.

    Args:
        generator: Generator to restore.
        state: Result of ``get_state`` when the checkpoint was written.
        consumer: Name for the warning.
    """
    if state.shape == generator.get_state().shape:  # the size depends on the type of device
        generator.set_state(state)
        return
    warnings.warn(
        f"the random state of {consumer} was saved on another type of device than {generator.device} and cannot be "
        "restored: a new generator is used, so the resumed run is not bit-identical to an uninterrupted one",
        stacklevel=2,
    )
