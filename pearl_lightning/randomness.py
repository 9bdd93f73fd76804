"""One random generator per consumer, all derived from the run's seed."""

from __future__ import annotations

import hashlib

import torch


def make_generator(consumer: str, rank: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for ``consumer`` on process ``rank``, fixed by ``seed_everything``."""
    digest = hashlib.sha256(f"{torch.initial_seed()}/{consumer}/{rank}".encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "big"))
